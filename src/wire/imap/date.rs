//! `date` and `date-time` (RFC 9051 §9), checked as dates and not only as digits.
//!
//! A server that does not like the date of an APPEND may answer without consuming the message,
//! which it would then read as commands.

use super::reader::{Fault, Reader};

const MONTHS: [(&str, u8); 12] = [
    ("JAN", 31),
    ("FEB", 29),
    ("MAR", 31),
    ("APR", 30),
    ("MAY", 31),
    ("JUN", 30),
    ("JUL", 31),
    ("AUG", 31),
    ("SEP", 30),
    ("OCT", 31),
    ("NOV", 30),
    ("DEC", 31),
];

/// `"17-Jul-1996 02:44:25 -0700"`, quotes included.
pub(super) fn date_time(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let start = reader.fault();
    reader.expect(b'"')?;
    let text = reader.take_while(|octet| octet.is_ascii_graphic() && octet != b'"' || octet == b' ');
    if !is_date_time(text) {
        return Err(start);
    }
    reader.expect(b'"')
}

/// `17-Jul-1996`, quoted or not.
pub(super) fn date(reader: &mut Reader<'_>) -> Result<(), Fault> {
    let start = reader.fault();
    let quoted = reader.eat(b'"');
    let text = reader.take_while(|octet| octet.is_ascii_alphanumeric() || octet == b'-');
    let Some((day, rest)) = text.split_at_checked(text.iter().position(|octet| *octet == b'-').unwrap_or(0)) else {
        return Err(start);
    };
    if !is_date(day, rest) {
        return Err(start);
    }
    if quoted { reader.expect(b'"') } else { Ok(()) }
}

fn is_date_time(text: &[u8]) -> bool {
    let Some((day, rest)) = text.split_at_checked(2) else { return false };
    let Some((month_and_year, time_and_zone)) = rest.split_at_checked(9) else { return false };
    let day = day.strip_prefix(b" ").unwrap_or(day);
    is_date(day, month_and_year) && is_time_and_zone(time_and_zone)
}

/// `rest` is `-Jul-1996`.
fn is_date(day: &[u8], rest: &[u8]) -> bool {
    let [b'-', a, b, c, b'-', year @ ..] = rest else { return false };
    let Some(year) = digits(year).filter(|_| year.len() == 4) else { return false };
    let Some(day) = digits(day).filter(|_| matches!(day.len(), 1 | 2)) else { return false };
    let month = MONTHS.iter().find(|(name, _)| name.as_bytes().eq_ignore_ascii_case(&[*a, *b, *c]));
    let Some((name, days)) = month else { return false };
    let leap = year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400));
    let days = if *name == "FEB" && !leap { 28 } else { u32::from(*days) };
    (1..=days).contains(&day)
}

/// ` 02:44:25 -0700`; a leap second is a time.
fn is_time_and_zone(text: &[u8]) -> bool {
    let [b' ', h0, h1, b':', m0, m1, b':', s0, s1, b' ', b'+' | b'-', zh0, zh1, zm0, zm1] = text else { return false };
    let within = |tens: &u8, ones: &u8, limit: u32| digits(&[*tens, *ones]).is_some_and(|value| value < limit);
    within(h0, h1, 24) && within(m0, m1, 60) && within(s0, s1, 61) && within(zh0, zh1, 24) && within(zm0, zm1, 60)
}

fn digits(text: &[u8]) -> Option<u32> {
    let valid = !text.is_empty() && text.len() <= 4 && text.iter().all(u8::is_ascii_digit);
    valid.then(|| text.iter().fold(0, |value, digit| value * 10 + u32::from(digit - b'0')))
}

#[cfg(test)]
mod tests {
    use super::super::mailbox::Names;
    use super::super::reader::Reader;
    use super::{date, date_time};

    #[test]
    fn reads_date_times() {
        for (text, valid) in [
            ("\"17-Jul-1996 02:44:25 -0700\"", true),
            ("\" 7-jul-1996 02:44:25 +0000\"", true),
            ("\"29-Feb-2024 23:59:60 +1400\"", true),
            ("\"29-Feb-2023 23:59:59 +0000\"", false),
            ("\"31-Apr-2024 00:00:00 +0000\"", false),
            ("\"7-Jul-1996 02:44:25 -0700\"", false),
            ("\"00-Jul-1996 02:44:25 -0700\"", false),
            ("\"17-Foo-1996 02:44:25 -0700\"", false),
            ("\"17-Jul-96 02:44:25 -0700\"", false),
            ("\"17-Jul-1996 24:00:00 -0700\"", false),
            ("\"17-Jul-1996 02:44:25 GMT\"", false),
            ("\"17-Jul-1996 02:44:25\"", false),
            ("\"not a date\"", false),
            ("\"\"", false),
            ("17-Jul-1996", false),
        ] {
            let mut reader = Reader::new(text.as_bytes(), Names::ModifiedUtf7);
            assert_eq!(date_time(&mut reader).is_ok(), valid, "{text}");
        }
    }

    #[test]
    fn reads_dates_with_and_without_quotes() {
        for (text, valid) in [
            ("1-Feb-1994", true),
            ("\"01-FEB-1994\"", true),
            ("32-Jan-1994", false),
            ("\"1-Feb-1994", false),
            ("1-Feb-94", false),
            ("-Feb-1994", false),
            ("1", false),
            ("", false),
        ] {
            let mut reader = Reader::new(text.as_bytes(), Names::ModifiedUtf7);
            assert_eq!(date(&mut reader).is_ok(), valid, "{text}");
        }
    }
}
