use super::*;

#[test]
fn what_is_taken_beyond_the_burst_must_be_waited_for() {
    let start = Instant::now();
    let pace = Pace::new(1_000, 500, start);
    assert_eq!(pace.take(500, start), Duration::ZERO);
    let wait = pace.take(1_000, start);
    assert!(wait >= Duration::from_secs(1) && wait < Duration::from_millis(1_001), "{wait:?}");
    assert_eq!(pace.take(0, start + wait), Duration::ZERO);
}

#[test]
fn a_bucket_never_holds_more_than_its_burst() {
    let start = Instant::now();
    let pace = Pace::new(10, 10, start);
    let later = start + Duration::from_hours(1);
    assert_eq!(pace.take(10, later), Duration::ZERO);
    assert!(pace.take(1, later) > Duration::ZERO);
}
