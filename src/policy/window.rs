//! Times of the week: `Mon-Fri 08:00-18:00 Europe/Berlin`.

use core::str::FromStr;

use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

const DAYS: [&str; 7] = ["mon", "tue", "wed", "thu", "fri", "sat", "sun"];
const WHOLE_DAY: u16 = 24 * 60;

/// A part of each week, by the clock of one place.
#[derive(Debug, Clone)]
pub(crate) struct Window {
    text: String,
    /// Whether it begins on that day, Monday first.
    days: [bool; 7],
    /// Minutes of the day; where the end is not behind the start it is on the next day.
    start: u16,
    end: u16,
    zone: TimeZone,
}

impl FromStr for Window {
    type Err = String;

    /// Days, hours and the place, each of which may be left out: every day, all day, UTC.
    fn from_str(text: &str) -> Result<Self, String> {
        let mut window = Self { text: text.to_owned(), days: [true; 7], start: 0, end: WHOLE_DAY, zone: TimeZone::UTC };
        let mut words = text.split_whitespace().peekable();
        if words.peek().is_none() {
            return Err("it says nothing".to_owned());
        }
        if let Some(word) = words.next_if(|word| DAYS.iter().any(|day| starts_with(word, day))) {
            window.days = days(word)?;
        }
        if let Some(word) = words.next_if(|word| word.starts_with(|first: char| first.is_ascii_digit())) {
            let (start, end) = word.split_once('-').ok_or("hours are `from-to`, as `08:00-18:00`")?;
            (window.start, window.end) = (minutes(start)?, minutes(end)?);
            if window.start == window.end || window.start == WHOLE_DAY {
                return Err("there is no time between these".to_owned());
            }
        }
        if let Some(word) = words.next() {
            if word.starts_with('!') || ["not", "except", "outside"].iter().any(|no| word.eq_ignore_ascii_case(no)) {
                return Err(format!("there is no `{}` here: all times that are meant are listed", word.trim()));
            }
            // the program's own copy, so that a rule means the same on every machine
            let zone = TimeZoneDatabase::bundled().get(word);
            window.zone = zone.map_err(|_| format!("`{word}` is not a place of the time zone database"))?;
        }
        match words.next() {
            None => Ok(window),
            Some(word) => Err(format!("nothing can stand behind the place: `{word}`")),
        }
    }
}

impl Window {
    /// Whether this moment, in seconds since 1970, is in it.
    pub(crate) fn contains(&self, unix_seconds: i64) -> bool {
        let Ok(timestamp) = Timestamp::from_second(unix_seconds) else { return false };
        let local = self.zone.to_datetime(timestamp);
        let today = usize::try_from(local.weekday().to_monday_zero_offset()).unwrap_or_default();
        let minute = u16::try_from(i32::from(local.hour()) * 60 + i32::from(local.minute())).unwrap_or_default();
        let begins = |day: usize| self.days.get(day % 7).copied().unwrap_or_default();
        if self.start < self.end {
            return begins(today) && (self.start..self.end).contains(&minute);
        }
        (begins(today) && minute >= self.start) || (begins(today + 6) && minute < self.end)
    }

    /// As it is written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }
}

fn starts_with(word: &str, day: &str) -> bool {
    word.get(..day.len()).is_some_and(|start| start.eq_ignore_ascii_case(day))
}

fn day(word: &str) -> Result<usize, String> {
    DAYS.iter()
        .position(|day| word.eq_ignore_ascii_case(day))
        .ok_or_else(|| format!("`{word}` is not a day; days are Mon, Tue, Wed, Thu, Fri, Sat, Sun"))
}

/// `Mon-Fri`, `Mon,Wed,Sat-Sun`.
fn days(word: &str) -> Result<[bool; 7], String> {
    let mut days = [false; 7];
    for range in word.split(',') {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let (first, last) = (day(first)?, day(last)?);
        // Sat-Mon goes over the end of the week
        for (index, is_in) in days.iter_mut().enumerate() {
            *is_in |= if first <= last { (first..=last).contains(&index) } else { index >= first || index <= last };
        }
    }
    Ok(days)
}

fn minutes(clock: &str) -> Result<u16, String> {
    let wrong = || format!("`{clock}` is not a time; write hours and minutes, as `08:00`");
    let (hours, minutes) = clock.split_once(':').ok_or_else(wrong)?;
    let number = |digits: &str| {
        let plain = digits.len() == 2 && digits.bytes().all(|octet| octet.is_ascii_digit());
        digits.parse::<u16>().ok().filter(|_| plain).ok_or_else(wrong)
    };
    let (hours, minutes) = (number(hours)?, number(minutes)?);
    let total = hours * 60 + minutes;
    if minutes < 60 && total <= WHOLE_DAY { Ok(total) } else { Err(wrong()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(time: &str) -> i64 {
        time.parse::<Timestamp>().unwrap().as_second()
    }

    #[test]
    fn a_window_is_read_by_the_clock_of_its_place() {
        // 2026-11-23 is a Monday
        #[rustfmt::skip]
        let rows = [
            ("Mon-Fri 08:00-18:00", "2026-11-23T08:00:00Z", true),
            ("Mon-Fri 08:00-18:00", "2026-11-23T18:00:00Z", false),
            ("Mon-Fri 08:00-18:00", "2026-11-22T09:00:00Z", false),
            ("mon-fri 08:00-18:00 Europe/Berlin", "2026-11-23T07:00:00Z", true),
            ("Mon-Fri 08:00-18:00 Europe/Berlin", "2026-11-23T17:00:00Z", false),
            ("Mon-Fri 08:00-18:00 Europe/Berlin", "2026-07-06T06:00:00Z", true),
            ("Sat,Sun", "2026-11-22T23:59:59Z", true),
            ("Sat-Mon", "2026-11-23T12:00:00Z", true),
            ("Sat-Mon", "2026-11-24T12:00:00Z", false),
            ("22:00-06:00", "2026-11-23T23:00:00Z", true),
            ("22:00-06:00", "2026-11-23T05:59:00Z", true),
            ("22:00-06:00", "2026-11-23T06:00:00Z", false),
            ("Sun 22:00-06:00", "2026-11-23T05:00:00Z", true),
            ("Mon 22:00-06:00", "2026-11-23T05:00:00Z", false),
            ("00:00-24:00", "2026-11-23T23:59:00Z", true),
            ("Asia/Tokyo", "2026-11-23T23:59:00Z", true),
        ];
        for (window, time, inside) in rows {
            assert_eq!(window.parse::<Window>().unwrap().contains(at(time)), inside, "{window} {time}");
        }
    }

    #[test]
    fn a_window_cannot_be_turned_round() {
        for (text, why) in [
            ("not Mon-Fri 08:00-18:00", "no `not` here"),
            ("!Mon-Fri", "no `!Mon-Fri` here"),
            ("Mon not 08:00-09:00", "`not`"),
        ] {
            let error = text.parse::<Window>().unwrap_err();
            assert!(error.contains(why) && !error.contains("time zone"), "{error}");
        }
    }

    #[test]
    fn what_is_no_window_is_refused() {
        for text in [
            "",
            "Mon-Fru",
            "Monday",
            "8-18",
            "8:00-18:00",
            "08:00",
            "08:00-08:00",
            "25:00-26:00",
            "08:60-09:00",
            "Mon 08:00-09:00 Mars/Olympus",
            "Mon Tue",
            "08:00-18:00 UTC now",
            "24:00-06:00",
        ] {
            assert!(text.parse::<Window>().is_err(), "{text}");
        }
    }
}
