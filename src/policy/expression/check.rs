//! Whether an expression means something: all that it names exists, its parts fit together, and what texts are held
//! against can be such texts. Looks at it as it is written, before calls like `exists` become loops.

use core::ops::Range;

use cel::IdedExpr;
use cel::common::ast::operators::{
    self, ADD, CONDITIONAL, EQUALS, IN, LOGICAL_AND, LOGICAL_NOT, LOGICAL_OR, NOT_EQUALS,
};
use cel::common::ast::{CallExpr, Expr, LiteralValue, SourceInfo};

use super::attribute::{Attribute, Texts, Type, Written};
use super::view::LONGEST_LIST;
use super::{DEEPEST, ExpressionError, Fault, MOST_STEPS};

/// Goes through one expression.
pub(super) struct Checker<'a> {
    text: &'a str,
    places: &'a SourceInfo,
    depth: u16,
    /// What `exists` and `all` call each text of their list.
    element: Option<(&'a str, Type)>,
    /// Texts of the lists that are gone through for each text of that list.
    inner: usize,
    /// The same for all texts of all such lists.
    steps: usize,
    checked: Checked,
}

/// What was found.
#[derive(Default)]
pub(super) struct Checked {
    pub(super) names: Vec<Attribute>,
    /// Texts that are held against `groups`, and where.
    pub(super) groups: Vec<(Range<usize>, String)>,
}

type Outcome<T> = Result<T, ExpressionError>;

impl<'a> Checker<'a> {
    pub(super) fn new(text: &'a str, places: &'a SourceInfo) -> Self {
        Self { text, places, depth: 0, element: None, inner: 0, steps: 0, checked: Checked::default() }
    }

    pub(super) fn check(mut self, expression: &'a IdedExpr) -> Outcome<Checked> {
        self.truth(expression)?;
        if self.checked.names.is_empty() {
            return Err(ExpressionError { at: 0..self.text.len(), fault: Fault::Constant });
        }
        self.checked.names.sort_unstable();
        self.checked.names.dedup();
        Ok(self.checked)
    }

    /// At the name of a function, which stands before its bracket.
    fn unknown_function<T>(&self, call: &IdedExpr, name: &str) -> Outcome<T> {
        let bracket = self.place(call);
        let start = self.text.get(..bracket.start).and_then(|before| before.trim_end().strip_suffix(name));
        let at = start.map_or(bracket, |before| before.len()..before.len() + name.len());
        Err(ExpressionError { at, fault: Fault::UnknownFunction(name.to_owned()) })
    }

    fn fault<T>(&self, expression: &IdedExpr, fault: Fault) -> Outcome<T> {
        Err(ExpressionError { at: self.place(expression), fault })
    }

    /// Where it stands; of what has an operator or a bracket, that.
    fn place(&self, expression: &IdedExpr) -> Range<usize> {
        let whole = 0..self.text.len();
        let Some((start, last)) = self.places.offset_for(expression.id) else { return whole };
        let (start, last) = (start as usize, last as usize);
        match self.text.get(last..).and_then(|rest| rest.chars().next()) {
            Some(letter) if start <= last => start..last + letter.len_utf8(),
            _ => self.text.len()..self.text.len(),
        }
    }

    fn truth(&mut self, expression: &'a IdedExpr) -> Outcome<()> {
        self.expect(expression, Type::Truth)
    }

    fn expect(&mut self, expression: &'a IdedExpr, wanted: Type) -> Outcome<()> {
        let found = self.of(expression)?;
        if is_alike(found, wanted) {
            return Ok(());
        }
        self.fault(expression, Fault::Type(wanted.name(), found.name()))
    }

    /// What it is.
    fn of(&mut self, expression: &'a IdedExpr) -> Outcome<Type> {
        if self.depth >= DEEPEST {
            return self.fault(expression, Fault::TooDeep);
        }
        self.depth += 1;
        let kind = match &expression.expr {
            Expr::Ident(name) => self.name(expression, name),
            Expr::Literal(literal) => self.literal(expression, literal),
            Expr::List(list) => self.list(expression, &list.elements),
            Expr::Call(call) => match &call.target {
                Some(target) => self.method(expression, target, call),
                None => self.call(expression, call),
            },
            Expr::Select(select) => {
                self.of(&select.operand)?;
                self.fault(expression, Fault::NoParts)
            }
            Expr::Map(_) => self.fault(expression, Fault::Excluded("a map")),
            Expr::Struct(_) => self.fault(expression, Fault::Excluded("a message")),
            Expr::Comprehension(_) | Expr::Unspecified => self.fault(expression, Fault::Excluded("a loop")),
        }?;
        self.depth -= 1;
        Ok(kind)
    }

    fn name(&mut self, expression: &IdedExpr, name: &str) -> Outcome<Type> {
        if let Some((_, kind)) = self.element.filter(|(element, _)| *element == name) {
            return Ok(kind);
        }
        let Some(attribute) = Attribute::from_label(name) else {
            return self.fault(expression, Fault::UnknownAttribute(name.to_owned()));
        };
        self.checked.names.push(attribute);
        let kind = attribute.kind();
        if matches!(kind, Type::Texts(_)) {
            self.inner += LONGEST_LIST;
        }
        Ok(kind)
    }

    fn literal(&self, expression: &IdedExpr, literal: &LiteralValue) -> Outcome<Type> {
        match literal {
            LiteralValue::Boolean(_) => Ok(Type::Truth),
            LiteralValue::Int(_) => Ok(Type::Number),
            // "\flagged" begins with a form feed
            LiteralValue::String(text) if text.inner().contains(char::is_control) => {
                self.fault(expression, Fault::Escape)
            }
            LiteralValue::String(_) => Ok(Type::Text(Texts::Any)),
            LiteralValue::Double(_) => self.fault(expression, Fault::Excluded("a number with a point")),
            LiteralValue::UInt(_) => self.fault(expression, Fault::Excluded("a number with `u`")),
            LiteralValue::Bytes(_) => self.fault(expression, Fault::Excluded("octets")),
            LiteralValue::Null => self.fault(expression, Fault::Excluded("`null`")),
        }
    }

    fn list(&mut self, expression: &IdedExpr, elements: &'a [IdedExpr]) -> Outcome<Type> {
        let [first, rest @ ..] = elements else {
            return self.fault(expression, Fault::Excluded("a list of nothing"));
        };
        let kind = self.of(first)?;
        let list = match kind {
            Type::Number => Type::Numbers,
            Type::Text(_) => Type::Texts(Texts::Any),
            Type::Truth | Type::Numbers | Type::Texts(_) => {
                return self.fault(first, Fault::Type("a text or a number", kind.name()));
            }
        };
        rest.iter().try_for_each(|element| self.expect(element, kind))?;
        self.inner += elements.len();
        Ok(list)
    }

    /// An operator, or a function that is called by its name alone.
    fn call(&mut self, expression: &'a IdedExpr, call: &'a CallExpr) -> Outcome<Type> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            (LOGICAL_AND | LOGICAL_OR, parts) => {
                parts.iter().try_for_each(|part| self.truth(part))?;
                Ok(Type::Truth)
            }
            (LOGICAL_NOT, [part]) => {
                self.truth(part)?;
                Ok(Type::Truth)
            }
            (CONDITIONAL, [condition, one, other]) => {
                self.truth(condition)?;
                let kind = self.of(one)?;
                self.expect(other, kind)?;
                // of two lists of texts nothing is known
                Ok(match kind {
                    Type::Text(_) => Type::Text(Texts::Any),
                    Type::Texts(_) => Type::Texts(Texts::Any),
                    Type::Truth | Type::Number | Type::Numbers => kind,
                })
            }
            (EQUALS | NOT_EQUALS, [left, right]) => self.comparison(expression, left, right),
            (IN, [part, list]) => self.membership(expression, part, list),
            (operators::LESS | operators::LESS_EQUALS | operators::GREATER | operators::GREATER_EQUALS, parts) => {
                parts.iter().try_for_each(|part| self.expect(part, Type::Number))?;
                Ok(Type::Truth)
            }
            (ADD, [left, right]) => {
                let kind = self.of(left)?;
                if !matches!(kind, Type::Number | Type::Text(_)) {
                    return self.fault(left, Fault::Type("a number or a text", kind.name()));
                }
                self.expect(right, kind)?;
                Ok(if kind == Type::Number { kind } else { Type::Text(Texts::Any) })
            }
            (
                operators::SUBSTRACT | operators::MULTIPLY | operators::DIVIDE | operators::MODULO | operators::NEGATE,
                parts,
            ) => {
                parts.iter().try_for_each(|part| self.expect(part, Type::Number))?;
                Ok(Type::Number)
            }
            ("size", [part]) => self.size(part),
            (operators::INDEX, _) => self.fault(expression, Fault::Excluded("a text of a list by its number")),
            (name, _) => self.unknown_function(expression, name),
        }
    }

    fn size(&mut self, part: &'a IdedExpr) -> Outcome<Type> {
        match self.of(part)? {
            Type::Text(_) | Type::Numbers | Type::Texts(_) => Ok(Type::Number),
            found @ (Type::Truth | Type::Number) => self.fault(part, Fault::Type("a text or a list", found.name())),
        }
    }

    /// A function that is called on something.
    fn method(&mut self, expression: &'a IdedExpr, target: &'a IdedExpr, call: &'a CallExpr) -> Outcome<Type> {
        match (call.func_name.as_str(), call.args.as_slice()) {
            ("startsWith" | "endsWith" | "contains", [part]) => {
                let kind = self.of(target)?;
                let Type::Text(texts) = kind else {
                    let wanted = if matches!(kind, Type::Texts(_)) { "a text, or `in` for a list," } else { "a text" };
                    return self.fault(target, Fault::Type(wanted, kind.name()));
                };
                self.expect(part, Type::Text(Texts::Any))?;
                self.spelling(texts, part)?;
                Ok(Type::Truth)
            }
            ("size", []) => self.size(target),
            ("exists" | "all", [name, condition]) => self.each(expression, target, name, condition),
            (name, _) => self.unknown_function(expression, name),
        }
    }

    /// `list.exists(x, …)`
    fn each(
        &mut self,
        expression: &IdedExpr,
        list: &'a IdedExpr,
        name: &'a IdedExpr,
        condition: &'a IdedExpr,
    ) -> Outcome<Type> {
        if self.element.is_some() {
            return self.fault(expression, Fault::Nested);
        }
        let kind = match self.of(list)? {
            Type::Texts(texts) => Type::Text(texts),
            Type::Numbers => Type::Number,
            found => return self.fault(list, Fault::Type("a list", found.name())),
        };
        let Expr::Ident(element) = &name.expr else {
            return self.fault(name, Fault::Type("a name for each text", "something else"));
        };
        if Attribute::from_label(element).is_some() {
            return self.fault(name, Fault::Taken);
        }
        self.element = Some((element, kind));
        self.inner = 0;
        self.truth(condition)?;
        self.element = None;
        let length = if let Expr::List(list) = &list.expr { list.elements.len() } else { LONGEST_LIST };
        self.steps += length * self.inner;
        if self.steps > MOST_STEPS { self.fault(expression, Fault::Costly(self.steps)) } else { Ok(Type::Truth) }
    }

    fn comparison(&mut self, expression: &IdedExpr, left: &'a IdedExpr, right: &'a IdedExpr) -> Outcome<Type> {
        let (one, other) = (self.of(left)?, self.of(right)?);
        if !is_alike(one, other) {
            return self.fault(expression, Fault::Uncomparable(one.name(), other.name()));
        }
        self.words(one, right)?;
        self.words(other, left)?;
        Ok(Type::Truth)
    }

    fn membership(&mut self, expression: &IdedExpr, part: &'a IdedExpr, list: &'a IdedExpr) -> Outcome<Type> {
        let (one, many) = (self.of(part)?, self.of(list)?);
        match (one, many) {
            (Type::Number, Type::Numbers) | (Type::Text(_), Type::Texts(_)) => {}
            (_, Type::Numbers | Type::Texts(_)) => {
                return self.fault(expression, Fault::Uncomparable(one.name(), many.name()));
            }
            _ => return self.fault(list, Fault::Type("a list", many.name())),
        }
        self.words(one, list)?;
        self.words(many, part)?;
        Ok(Type::Truth)
    }

    /// Whether texts that are written out can be what is of this kind.
    fn words(&mut self, kind: Type, written: &IdedExpr) -> Outcome<()> {
        let (Type::Text(Texts::Of(attribute)) | Type::Texts(Texts::Of(attribute))) = kind else { return Ok(()) };
        if let Expr::List(list) = &written.expr {
            return list.elements.iter().try_for_each(|element| self.words(kind, element));
        }
        let Some(text) = literal_text(written) else { return Ok(()) };
        match attribute.written() {
            Written::Words(words) if !text.is_empty() && !words.contains(&text) => {
                self.fault(written, Fault::Word(attribute, text.to_owned()))
            }
            Written::Flag(flags) if text.starts_with('\\') && !flags.contains(&text) => {
                self.fault(written, Fault::Word(attribute, text.to_owned()))
            }
            _ => {
                if attribute == Attribute::Groups {
                    self.checked.groups.push((self.place(written), text.to_owned()));
                }
                self.spelling(Texts::Of(attribute), written)
            }
        }
    }

    /// Whether a text that is written out is in the case in which texts of this kind are.
    fn spelling(&self, texts: Texts, written: &IdedExpr) -> Outcome<()> {
        let (Texts::Of(attribute), Some(text)) = (texts, literal_text(written)) else { return Ok(()) };
        let right = match attribute.written() {
            Written::Lower => text.to_lowercase(),
            Written::Upper => text.to_ascii_uppercase(),
            Written::Flag(_) if !text.starts_with('\\') => text.to_lowercase(),
            Written::Mailbox if text.eq_ignore_ascii_case("INBOX") => "INBOX".to_owned(),
            Written::Freely | Written::Words(_) | Written::Flag(_) | Written::Mailbox => return Ok(()),
        };
        if right == text { Ok(()) } else { self.fault(written, Fault::Spelling(attribute, right)) }
    }
}

fn literal_text(expression: &IdedExpr) -> Option<&str> {
    if let Expr::Literal(LiteralValue::String(text)) = &expression.expr { Some(text.inner()) } else { None }
}

fn is_alike(one: Type, other: Type) -> bool {
    match (one, other) {
        (Type::Text(_), Type::Text(_)) | (Type::Texts(_), Type::Texts(_)) => true,
        _ => one == other,
    }
}

/// The place of a line and a column, both from 1.
pub(super) fn offset(text: &str, (line, column): (isize, isize)) -> usize {
    let line = usize::try_from(line - 1).unwrap_or_default();
    let column = usize::try_from(column - 1).unwrap_or_default();
    let start: usize = text.split_inclusive('\n').take(line).map(str::len).sum();
    let rest = text.get(start..).unwrap_or_default();
    start + rest.char_indices().nth(column).map_or(rest.len(), |(at, _)| at)
}
