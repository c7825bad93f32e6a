//! The protocol of traces (OTLP 1.x, `opentelemetry/proto/trace/v1/trace.proto`), as far as it is spoken here.

use std::sync::Arc;

use crate::witness::TraceId;

/// A span as it is kept until it is posted.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Span {
    pub(super) trace: TraceId,
    /// Not zero.
    pub(super) id: u64,
    /// Zero: it is the root.
    pub(super) parent: u64,
    pub(super) name: &'static str,
    /// Nanoseconds since 1970, as all times here.
    pub(super) start: u64,
    pub(super) end: u64,
    pub(super) failed: bool,
    pub(super) attributes: Vec<Attribute>,
    pub(super) notes: Vec<Note>,
}

/// Something that happened in a span: what the protocol calls an event.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Note {
    pub(super) at: u64,
    pub(super) name: &'static str,
    pub(super) attributes: Vec<Attribute>,
}

/// A key and what stands behind it.
pub(super) type Attribute = (&'static str, Value);

/// What can stand behind a key.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Value {
    /// A word of a closed set.
    Word(&'static str),
    /// A name of the configuration.
    Name(Arc<str>),
    Number(u64),
    Seconds(f64),
    Switch(bool),
}

/// Who posts: attributes of the resource.
pub(super) type Resource = Vec<Attribute>;

/// The scope of all spans.
const SCOPE: &str = "mailwarden";
const VERSION: &str = env!("CARGO_PKG_VERSION");

// SpanKind
const INTERNAL: u64 = 1;
const SERVER: u64 = 2;
// StatusCode
const ERROR: u64 = 2;

/// An `ExportTraceServiceRequest`.
pub(super) fn request(resource: &Resource, spans: &[Span]) -> Vec<u8> {
    let mut whole = Message(Vec::with_capacity(spans.len() * 512));
    whole.inner(1, |resource_spans| {
        resource_spans.inner(1, |message| message.attributes(1, resource));
        resource_spans.inner(2, |scope_spans| {
            scope_spans.inner(1, |scope| {
                scope.octets(1, SCOPE.as_bytes());
                scope.octets(2, VERSION.as_bytes());
            });
            for span in spans {
                scope_spans.inner(2, |message| message.span(span));
            }
        });
    });
    whole.0
}

/// How many spans of an `ExportTraceServiceResponse` were not taken. What cannot be read counts as none: the
/// collector has said that it was content.
pub(super) fn rejected(response: &[u8]) -> u64 {
    // partial_success = 1, of which rejected_spans = 1
    let number = field(response, 1, 2).and_then(|partial| field(partial, 1, 0)).and_then(varint);
    number.map_or(0, |(number, _)| number)
}

/// A message in the making.
struct Message(Vec<u8>);

impl Message {
    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push((value & 0x7f) as u8);
    }

    fn key(&mut self, field: u64, kind: u64) {
        self.varint(field << 3 | kind);
    }

    fn number(&mut self, field: u64, value: u64) {
        self.key(field, 0);
        self.varint(value);
    }

    fn fixed(&mut self, field: u64, octets: [u8; 8]) {
        self.key(field, 1);
        self.0.extend_from_slice(&octets);
    }

    fn octets(&mut self, field: u64, octets: &[u8]) {
        self.key(field, 2);
        self.varint(octets.len() as u64);
        self.0.extend_from_slice(octets);
    }

    fn inner(&mut self, field: u64, fill: impl FnOnce(&mut Self)) {
        let mut message = Self(Vec::new());
        fill(&mut message);
        self.octets(field, &message.0);
    }

    fn span(&mut self, span: &Span) {
        self.octets(1, span.trace.octets());
        self.octets(2, &span.id.to_be_bytes());
        if span.parent != 0 {
            self.octets(4, &span.parent.to_be_bytes());
        }
        self.octets(5, span.name.as_bytes());
        self.number(6, if span.parent == 0 { SERVER } else { INTERNAL });
        self.fixed(7, span.start.to_le_bytes());
        self.fixed(8, span.end.to_le_bytes());
        self.attributes(9, &span.attributes);
        for note in &span.notes {
            self.inner(11, |message| {
                message.fixed(1, note.at.to_le_bytes());
                message.octets(2, note.name.as_bytes());
                message.attributes(3, &note.attributes);
            });
        }
        if span.failed {
            self.inner(15, |status| status.number(3, ERROR));
        }
    }

    fn attributes(&mut self, field: u64, attributes: &[Attribute]) {
        for (key, value) in attributes {
            self.inner(field, |pair| {
                pair.octets(1, key.as_bytes());
                pair.inner(2, |any| match value {
                    Value::Word(word) => any.octets(1, word.as_bytes()),
                    Value::Name(name) => any.octets(1, name.as_bytes()),
                    Value::Switch(on) => any.number(2, u64::from(*on)),
                    Value::Number(number) => any.number(3, *number),
                    Value::Seconds(seconds) => any.fixed(4, seconds.to_le_bytes()),
                });
            });
        }
    }
}

/// The first field of this number and kind.
fn field(octets: &[u8], number: u64, kind: u64) -> Option<&[u8]> {
    fields(octets).find(|(found, of_kind, _)| (*found, *of_kind) == (number, kind)).map(|(_, _, value)| value)
}

/// The fields of a message with their kinds, as far as they can be read.
fn fields(mut octets: &[u8]) -> impl Iterator<Item = (u64, u64, &[u8])> {
    std::iter::from_fn(move || {
        let (key, rest) = varint(octets)?;
        let kind = key & 7;
        let (value, rest) = match kind {
            0 => rest.split_at_checked(varint(rest).map(|(_, left)| rest.len() - left.len())?)?,
            1 => rest.split_at_checked(8)?,
            2 => {
                let (length, rest) = varint(rest)?;
                rest.split_at_checked(usize::try_from(length).ok()?)?
            }
            5 => rest.split_at_checked(4)?,
            _ => return None,
        };
        octets = rest;
        Some((key >> 3, kind, value))
    })
}

/// A number, and what stands behind it.
fn varint(octets: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (place, octet) in octets.iter().take(10).enumerate() {
        value |= u64::from(octet & 0x7f).checked_shl(u32::try_from(place).ok()? * 7)?;
        if octet & 0x80 == 0 {
            return octets.get(place + 1..).map(|rest| (value, rest));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use opentelemetry_proto::tonic::collector::trace::v1 as collector;
    use opentelemetry_proto::tonic::common::v1::any_value;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;

    fn span() -> Span {
        Span {
            trace: "0af7651916cd43dd8448eb211c80319c".parse().unwrap(),
            id: 0x0102_0304_0506_0708,
            parent: 9,
            name: "UID FETCH",
            start: 1_700_000_000_000_000_001,
            end: u64::MAX,
            failed: true,
            attributes: vec![
                ("word", Value::Word("fetch")),
                ("name", Value::Name("öffentlich".into())),
                ("number", Value::Number(300)),
                ("seconds", Value::Seconds(0.25)),
                ("switch", Value::Switch(true)),
            ],
            notes: vec![Note { at: 5, name: "noted", attributes: vec![("kind", Value::Word("nul"))] }],
        }
    }

    #[test]
    fn is_read_by_the_protocols_own_library_as_it_was_meant() {
        let octets = request(&vec![("service.name", Value::Word("mailwarden"))], &[span(), span()]);
        let read = collector::ExportTraceServiceRequest::decode(&octets[..]).unwrap();
        // nothing was written that the library does not know
        assert_eq!(read.encoded_len(), octets.len());
        let resource = &read.resource_spans[0];
        assert_eq!(resource.resource.as_ref().unwrap().attributes[0].key, "service.name");
        let scope = &resource.scope_spans[0];
        assert_eq!(scope.scope.as_ref().unwrap().name, "mailwarden");
        assert_eq!(scope.spans.len(), 2);
        let read = &scope.spans[1];
        assert_eq!(read.trace_id, span().trace.octets());
        assert_eq!(read.span_id, [1, 2, 3, 4, 5, 6, 7, 8]);
        assert_eq!(read.parent_span_id, [0, 0, 0, 0, 0, 0, 0, 9]);
        assert_eq!((read.name.as_str(), read.kind), ("UID FETCH", 1));
        assert_eq!((read.start_time_unix_nano, read.end_time_unix_nano), (span().start, u64::MAX));
        assert_eq!(read.status.as_ref().unwrap().code, 2);
        let values: Vec<_> = read.attributes.iter().map(|pair| pair.value.clone().unwrap().value.unwrap()).collect();
        assert_eq!(
            values,
            [
                any_value::Value::StringValue("fetch".to_owned()),
                any_value::Value::StringValue("öffentlich".to_owned()),
                any_value::Value::IntValue(300),
                any_value::Value::DoubleValue(0.25),
                any_value::Value::BoolValue(true),
            ]
        );
        assert_eq!((read.events[0].time_unix_nano, read.events[0].name.as_str()), (5, "noted"));
        let root = request(&Vec::new(), &[Span { parent: 0, failed: false, ..span() }]);
        let root = collector::ExportTraceServiceRequest::decode(&root[..]).unwrap();
        let root = &root.resource_spans[0].scope_spans[0].spans[0];
        assert_eq!((root.parent_span_id.len(), root.kind, root.status.is_none()), (0, 2, true));
    }

    fn response(partial: Option<(i64, &str)>) -> Vec<u8> {
        let partial_success = partial.map(|(rejected_spans, why)| collector::ExportTracePartialSuccess {
            rejected_spans,
            error_message: why.to_owned(),
        });
        collector::ExportTraceServiceResponse { partial_success }.encode_to_vec()
    }

    proptest! {
        #[test]
        fn what_was_not_taken_is_read(count in 0..i64::MAX, why in ".{0,40}") {
            prop_assert_eq!(rejected(&response(Some((count, &why)))), u64::try_from(count).unwrap());
        }

        #[test]
        fn any_answer_can_be_looked_at(octets in proptest::collection::vec(any::<u8>(), 0..64)) {
            let _number = rejected(&octets);
        }
    }

    #[test]
    fn an_answer_without_complaint_rejects_nothing() {
        for answer in [response(None), response(Some((0, "slow down"))), Vec::new(), b"{}".to_vec()] {
            assert_eq!(rejected(&answer), 0, "{answer:?}");
        }
    }
}
