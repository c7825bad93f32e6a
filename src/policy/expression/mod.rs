//! Conditions that are written as an expression, `when = "…"`: what the other keys of a rule cannot say.
//!
//! The language is a part of CEL (<https://cel.dev>): texts, whole numbers, truth values and lists of texts; `&&`, `||`,
//! `!`, `?:`, comparisons, `in`, arithmetic, a handful of functions, and `exists` and `all` over a list. An expression is
//! read once, when rules are loaded, and [checked](check) then: it has a type, all that it names exists, and it is true or
//! false. It sees the [attributes](Attribute) of what is judged and nothing else: no octet of a message, no secret.
//!
//! What it costs is bounded: its length and its depth, before the parser sees it; its lists, of which none is longer
//! than [64](view::LONGEST_LIST); no loop stands inside another; and how many [steps](MOST_STEPS) it takes to look through
//! lists inside loops is counted when it is read.
//!
//! A value that nobody knows makes the expression's parts unknown that need it (`false && unknown` is false, `true ||
//! unknown` true, as in CEL itself), and so does what cannot be computed: an overflow, a division by zero. What an
//! unknown whole means is for the rule to say: it counts as true where a rule restrains and as false where it allows.

mod attribute;
mod bounds;
mod check;
mod view;

use core::ops::Range;
use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, LazyLock};

use cel::common::types::CelBool;
use cel::parser::ParseError;
use cel::{Context, Env, Program, Value};

pub use attribute::Attribute;
pub(crate) use bounds::{DEEPEST, LONGEST};

use super::condition::Stance;
use super::facts::Facts;
use super::group::Group;
use check::Checker;
#[cfg(test)]
use view::LONGEST_LIST;
use view::View;

/// How many texts of lists may be looked at inside `exists` and `all`: two lists of the longest, for each text of one.
pub(crate) const MOST_STEPS: usize = 2 * 64 * 64;

/// An expression, ready to be asked.
#[derive(Clone)]
pub(crate) struct Expression {
    text: Arc<str>,
    program: Arc<Program>,
    /// What it names, in the order of [`Attribute::ALL`].
    names: Arc<[Attribute]>,
    /// What it compares with `groups`, and where.
    groups_named: Arc<[(Range<usize>, String)]>,
    /// The groups there are, once the policy is put together.
    groups: Arc<[Arc<Group>]>,
    failures: Arc<AtomicU64>,
}

/// Why a text is no expression, and where in it: a range of its octets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{fault}")]
pub(crate) struct ExpressionError {
    pub(crate) at: Range<usize>,
    pub(crate) fault: Fault,
}

/// What is wrong with an expression.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Fault {
    #[error("an expression has at most {LONGEST} octets")]
    TooLong,
    #[error("parts stand in parts at most {DEEPEST} levels deep")]
    TooDeep,
    #[error("{0}")]
    Syntax(String),
    #[error("a backslash in a text is written twice")]
    Escape,
    #[error("no attribute has this name")]
    UnknownAttribute(String),
    #[error("an attribute has no parts")]
    NoParts,
    #[error("there is no such function here")]
    UnknownFunction(String),
    #[error("this is no part of the language here: {0}")]
    Excluded(&'static str),
    /// Wanted, found.
    #[error("{0} is expected here, and this is {1}")]
    Type(&'static str, &'static str),
    /// Found on the left and on the right.
    #[error("{0} is never compared with {1}")]
    Uncomparable(&'static str, &'static str),
    /// The attribute, the text.
    #[error("`{}` is never this", .0.as_label())]
    Word(Attribute, String),
    /// The attribute, the text as it would have to be.
    #[error("`{}` is never written this way", .0.as_label())]
    Spelling(Attribute, String),
    #[error("`exists` and `all` go through a list, and not inside each other")]
    Nested,
    /// The steps.
    #[error("lists inside `exists` and `all` are gone through for each text: {0} steps, at most {MOST_STEPS} may be")]
    Costly(usize),
    #[error("this name is taken")]
    Taken,
    #[error("it names no attribute, so that it is always the same")]
    Constant,
}

/// What an expression says of what is judged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Truth {
    Holds,
    Fails,
    /// It hangs on what is not known, or cannot be computed.
    Unknown,
}

/// The functions of the language. Those of CEL that are not meant here never get past [`check`].
static LANGUAGE: LazyLock<Arc<Env>> = LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

impl Expression {
    /// Reads and checks an expression. Does so with a stack that is deep enough for the parser: 1 MiB.
    pub(crate) fn new(text: &str) -> Result<Self, ExpressionError> {
        bounds::check(text)?;
        // without macros calls are left as they are written, which is what can be checked and pointed at
        let plain = Env::default().with_optional_support(false).parser().max_recursion_depth(DEEPEST);
        let (written, places) = plain.parse_with_source_info(text).map_err(|errors| syntax(text, errors.errors))?;
        let checked = Checker::new(text, &places).check(&written)?;
        let program = LANGUAGE.compile(text).map_err(|errors| syntax(text, errors.errors))?;
        Ok(Self {
            text: text.into(),
            program: Arc::new(program),
            names: checked.names.into(),
            groups_named: checked.groups.into(),
            groups: Arc::new([]),
            failures: Arc::default(),
        })
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether it names any of these.
    pub(crate) fn names_any(&self, attributes: &[Attribute]) -> bool {
        self.names.iter().any(|name| attributes.contains(name))
    }

    /// The names of groups that it asks for, each with its place.
    pub(crate) fn groups_named(&self) -> &[(Range<usize>, String)] {
        &self.groups_named
    }

    /// Lends it the groups that users can be in.
    pub(super) fn bind(&mut self, groups: &[Arc<Group>]) {
        if self.names.contains(&Attribute::Groups) {
            self.groups = groups.into();
        }
    }

    /// Counts with others what cannot be computed.
    pub(super) fn count_in(&mut self, failures: &Arc<AtomicU64>) {
        self.failures = Arc::clone(failures);
    }

    /// What it says of `facts`. A rule that restrains sees `Secret/` by the name `Secret` too.
    pub(crate) fn ask(&self, facts: &Facts<'_>, stance: Stance) -> Truth {
        let view = View::new(facts, stance, &self.groups);
        let mut context = Context::with_env(Arc::clone(&LANGUAGE));
        context.set_variable_resolver(&view);
        match Value::resolve_val(self.program.expression(), &context) {
            Ok(value) => match value.downcast_ref::<CelBool>() {
                Some(truth) if *truth.inner() => Truth::Holds,
                Some(_) => Truth::Fails,
                None => self.fail(),
            },
            Err(_) if view.met_unknown() => Truth::Unknown,
            Err(_) => self.fail(),
        }
    }

    fn fail(&self) -> Truth {
        self.failures.fetch_add(1, Ordering::Relaxed);
        Truth::Unknown
    }

    /// What it names and what that is, for people.
    pub(super) fn found(&self, facts: &Facts<'_>, stance: Stance) -> String {
        let view = View::new(facts, stance, &self.groups);
        let shown = |name: &Attribute| {
            let value = view.value(*name).map_or_else(|| "not known".to_owned(), |value| value.to_string());
            format!("{} is {value}", name.as_label())
        };
        self.names.iter().map(shown).collect::<Vec<_>>().join(", ")
    }
}

impl core::fmt::Debug for Expression {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.debug_tuple("Expression").field(&self.text).finish()
    }
}

/// The first of what the parser says.
fn syntax(text: &str, errors: Vec<ParseError>) -> ExpressionError {
    let Some(error) = errors.into_iter().next() else {
        return ExpressionError { at: 0..text.len(), fault: Fault::Syntax("this is no expression".to_owned()) };
    };
    let at = check::offset(text, error.pos);
    let rest = text.get(at..).unwrap_or_default();
    let word = rest.find(|letter: char| !letter.is_ascii_alphanumeric()).unwrap_or(rest.len());
    let end = at + word.max(rest.chars().next().map_or(0, char::len_utf8));
    ExpressionError { at: at..end, fault: in_plain_words(&error.msg, rest) }
}

/// What the parser means; `rest` begins where it stopped.
fn in_plain_words(message: &str, rest: &str) -> Fault {
    let first = rest.chars().next();
    let said = message.strip_prefix("Syntax error: ").unwrap_or(message);
    let quoted = said.split('\'').nth(1).unwrap_or_default();
    let quoted = if quoted == "<EOF>" { "the end" } else { quoted };
    Fault::Syntax(match (said.split(' ').next(), first) {
        (Some("token"), Some('\'' | '"')) if rest.contains('\\') => return Fault::Escape,
        (Some("token"), Some('\'' | '"')) => "this text does not end".to_owned(),
        (Some("token"), _) => "nothing in an expression begins like this".to_owned(),
        (Some("missing"), _) => format!("`{quoted}` is missing here"),
        (Some("mismatched" | "extraneous" | "no"), None) => "something is missing here".to_owned(),
        (Some("mismatched" | "extraneous" | "no"), _) => "this does not belong here".to_owned(),
        (Some("Incomplete" | "No"), _) => "a part of this is missing".to_owned(),
        _ => said.to_owned(),
    })
}

#[cfg(test)]
mod tests;
