//! Selection of frames for arbitrary timestamps and rates, compared with the definition.
#![allow(clippy::unwrap_used)]

use std::num::NonZeroU64;

use num_rational::Ratio;
use proptest::prelude::*;
use videoframes_core::select::{
    End, Pick, Position, Range, SelectError, Selection, check_grid, notes, select,
};
use videoframes_core::units::{FrameRate, Rational, TimeBase};
use videoframes_core::video::Timeline;

fn timelines() -> impl Strategy<Value = Timeline> {
    let time_base = (1u32..2000, 1u32..100_000).prop_map(|(n, d)| TimeBase::new(n, d).unwrap());
    let pts = prop::collection::vec(-1_000_000i64..1_000_000, 1..60);
    (time_base, pts, prop::option::of(0i64..5000))
        .prop_map(|(base, pts, last)| Timeline::new(base, pts, last).unwrap())
}

fn rationals(max: i128) -> impl Strategy<Value = Rational> {
    (0..=max, 1i128..1000).prop_map(|(n, d)| Ratio::new(n, d))
}

/// Returns the last frame whose time is at or before `time`, by a linear search.
fn displayed_at(timeline: &Timeline, time: Rational) -> usize {
    (0..timeline.pts().len())
        .rev()
        .find(|&i| timeline.time(i) <= time)
        .unwrap_or(0)
}

proptest! {
    #[test]
    fn every_pick_is_the_frame_displayed_at_its_target(timeline in timelines(), divisor in 1i128..50, shift in rationals(10)) {
        let duration = timeline.duration();
        let rate = FrameRate::every(duration / divisor + shift).unwrap();
        let picks = select(&timeline, &Selection::Fps(rate), &Range::default(), 1000).unwrap();
        let mut expected = Vec::new();
        let mut target = Ratio::from_integer(0);
        while target < duration {
            expected.push(Pick { target, frame: displayed_at(&timeline, target) });
            target += rate.interval();
        }
        prop_assert_eq!(picks, expected);
    }

    #[test]
    fn a_range_only_shifts_and_truncates_the_grid(timeline in timelines(), from in 0i128..90, length in 1i128..90, divisor in 1i128..50) {
        let duration = timeline.duration();
        let start = duration * from / 100;
        let end = start + duration * length / 100;
        let rate = FrameRate::every(duration / divisor).unwrap();
        let range = Range { start: Some(Position::Time(start)), end: Some(End::At(Position::Time(end))) };
        let picks = select(&timeline, &Selection::Fps(rate), &range, 1000).unwrap();
        prop_assert!(picks.len() as i128 <= divisor + 1);
        for (k, pick) in picks.iter().enumerate() {
            prop_assert_eq!(pick.target, start + rate.interval() * k as i128);
            prop_assert!(pick.target < end.min(duration));
            prop_assert_eq!(pick.frame, displayed_at(&timeline, pick.target));
        }
        let next = start + rate.interval() * picks.len() as i128;
        prop_assert!(next >= end.min(duration));
    }

    #[test]
    fn count_returns_exactly_that_many_frames(timeline in timelines(), count in 1u64..200) {
        let picks = select(&timeline, &Selection::Count(count), &Range::default(), 200).unwrap();
        prop_assert_eq!(picks.len() as u64, count);
        for (k, pick) in picks.iter().enumerate() {
            prop_assert_eq!(pick.target, timeline.duration() * k as i128 / count as i128);
            prop_assert_eq!(pick.frame, displayed_at(&timeline, pick.target));
        }
    }

    #[test]
    fn all_returns_every_frame_of_the_range_once(timeline in timelines(), from in 0i128..100) {
        let start = timeline.duration() * from / 100;
        let range = Range { start: Some(Position::Time(start)), end: None };
        let picks = select(&timeline, &Selection::All, &range, 1000).unwrap();
        let expected: Vec<usize> = (0..timeline.pts().len()).filter(|&i| timeline.time(i) >= start).collect();
        prop_assert_eq!(picks.iter().map(|p| p.frame).collect::<Vec<_>>(), expected);
    }

    #[test]
    fn every_nth_frame_starts_with_the_first_of_the_range(timeline in timelines(), from in 0i128..100, step in 1usize..9) {
        let range = Range { start: Some(Position::Time(timeline.duration() * from / 100)), end: None };
        let all = select(&timeline, &Selection::All, &range, 1000).unwrap();
        let selection = Selection::EveryNth(NonZeroU64::new(step as u64).unwrap());
        let picks = select(&timeline, &selection, &range, 1000).unwrap();
        prop_assert_eq!(picks, all.into_iter().step_by(step).collect::<Vec<_>>());
    }

    #[test]
    fn random_frames_are_different_frames_of_the_range(timeline in timelines(), seed: u64, from in 0i128..100, share in 0usize..100) {
        let range = Range { start: Some(Position::Time(timeline.duration() * from / 100)), end: None };
        let all = select(&timeline, &Selection::All, &range, 1000).unwrap();
        prop_assume!(!all.is_empty());
        let count = 1 + (all.len() - 1) * share / 100;
        let selection = Selection::Random { count: NonZeroU64::new(count as u64).unwrap(), seed };
        let picks = select(&timeline, &selection, &range, 1000).unwrap();
        prop_assert_eq!(picks.len(), count);
        prop_assert!(picks.windows(2).all(|pair| pair[0].frame < pair[1].frame));
        prop_assert!(picks.iter().all(|pick| all.contains(pick)));
        prop_assert_eq!(&picks, &select(&timeline, &selection, &range, 1000).unwrap());
    }

    #[test]
    fn requested_times_are_sorted_and_keep_duplicates(timeline in timelines(), shares in prop::collection::vec(0i128..100, 1..20)) {
        let positions = shares.iter().map(|s| Position::Percent((*s).into())).collect();
        let picks = select(&timeline, &Selection::At(positions), &Range::default(), 100).unwrap();
        prop_assert_eq!(picks.len(), shares.len());
        prop_assert!(picks.is_sorted_by_key(|p| p.target));
        for pick in picks {
            prop_assert_eq!(pick.frame, displayed_at(&timeline, pick.target));
        }
    }
}

fn ten_frames() -> Timeline {
    Timeline::new(TimeBase::new(1, 10).unwrap(), (100..110).collect(), Some(1)).unwrap()
}

#[test]
fn rejects_the_end_as_a_time_but_accepts_100_percent() {
    let at = |position| {
        select(
            &ten_frames(),
            &Selection::At(vec![position]),
            &Range::default(),
            10,
        )
    };
    assert!(matches!(
        at(Position::Time(1.into())),
        Err(SelectError::BeyondEnd { .. })
    ));
    assert_eq!(at(Position::Percent(100.into())).unwrap()[0].frame, 9);
    assert_eq!(at(Position::Time(Ratio::new(99, 100))).unwrap()[0].frame, 9);
}

#[test]
fn more_frames_than_the_limit_are_an_error() {
    let all = |limit| select(&ten_frames(), &Selection::All, &Range::default(), limit);
    assert_eq!(all(10).unwrap().len(), 10);
    assert_eq!(all(9), Err(SelectError::TooManyFrames { limit: 9 }));
}

#[test]
fn an_empty_or_outlying_range_is_an_error() {
    let range = |start: i128, end: i128| Range {
        start: Some(Position::Time(Ratio::new(start, 10))),
        end: Some(End::At(Position::Time(Ratio::new(end, 10)))),
    };
    let select = |range| select(&ten_frames(), &Selection::All, &range, 10);
    assert!(matches!(select(range(5, 5)), Err(SelectError::EmptyRange { .. })));
    assert!(matches!(
        select(range(10, 12)),
        Err(SelectError::BeyondEnd { .. })
    ));
    assert_eq!(select(range(8, 100)).unwrap().len(), 2);
}

#[test]
fn extreme_numbers_do_not_panic() {
    let far = Timeline::new(
        TimeBase::new(u32::MAX, 1).unwrap(),
        vec![i64::MIN, i64::MAX],
        None,
    )
    .unwrap();
    let rate: FrameRate = "1/999999999".parse().unwrap();
    let _ = select(&far, &Selection::Fps(rate), &Range::default(), 10);
    let _ = select(&far, &Selection::Count(7), &Range::default(), 10);
}

#[test]
fn times_from_the_end_are_parsed_and_displayed() {
    let whole = |seconds: i128| Ratio::from_integer(seconds);
    for (text, position) in [
        ("-10s", Position::BeforeEnd(whole(10))),
        ("-1.5", Position::BeforeEnd(Ratio::new(3, 2))),
        ("-00:01:10", Position::BeforeEnd(whole(70))),
        ("-20%", Position::Percent(whole(80))),
        ("-0", Position::BeforeEnd(whole(0))),
        ("10s", Position::Time(whole(10))),
    ] {
        let read: Position = text.parse().unwrap();
        assert_eq!(read, position, "{text}");
        assert_eq!(read.to_string().parse(), Ok(position), "{text}");
    }
    for wrong in ["-", "--1", "-x", "-101%", "- 1", "-1s2m"] {
        assert!(wrong.parse::<Position>().is_err(), "{wrong}");
    }
}

#[test]
fn times_from_the_end_select_the_frames_before_it() {
    let video = ten_frames();
    let tenths = |n: i128| Position::BeforeEnd(Ratio::new(n, 10));
    let picked = |selection: Selection, start: Option<Position>, end: Option<Position>| {
        let range = Range {
            start,
            end: end.map(End::At),
        };
        let picks = select(&video, &selection, &range, 100)?;
        Ok::<_, SelectError>(picks.iter().map(|pick| pick.frame).collect::<Vec<_>>())
    };
    for (start, end, frames) in [
        (Some(3), None, vec![7, 8, 9]),
        (None, Some(8), vec![0, 1]),
        (Some(5), Some(3), vec![5, 6]),
        (Some(100), Some(9), vec![0]),
    ] {
        let found = picked(Selection::All, start.map(tenths), end.map(tenths));
        assert_eq!(found, Ok(frames), "{start:?} {end:?}");
    }
    let at = |n| picked(Selection::At(vec![tenths(n)]), None, None);
    assert_eq!((at(1), at(10)), (Ok(vec![9]), Ok(vec![0])));
    assert!(matches!(at(0), Err(SelectError::BeyondEnd { .. })));
    assert!(matches!(at(11), Err(SelectError::BeforeStart { .. })));
    let before = picked(Selection::All, None, Some(tenths(11)));
    assert!(matches!(before, Err(SelectError::EmptyRange { .. })));
}

#[test]
fn a_range_that_ends_before_it_starts_is_empty_wherever_it_starts() {
    let range = Range {
        start: Some(Position::Time(3.into())),
        end: Some(End::At(Position::Time(2.into()))),
    };
    let empty = select(&ten_frames(), &Selection::All, &range, 100);
    assert!(matches!(empty, Err(SelectError::EmptyRange { .. })), "{empty:?}");
}

#[test]
fn truncated_ranges_and_repeated_pictures_cause_notes() {
    let video = ten_frames();
    let noted = |selection: Selection, range: Range| {
        let picks = select(&video, &selection, &range, 100).unwrap();
        notes(&video, &selection, &range, &picks)
    };
    let end = |end| Range {
        start: None,
        end: Some(end),
    };
    assert_eq!(noted(Selection::All, Range::default()), Vec::<String>::new());
    assert_eq!(
        noted(Selection::All, end(End::At(Position::Time(1.into())))),
        Vec::<String>::new()
    );
    for (range, words) in [
        (
            end(End::At(Position::Time(99.into()))),
            "ends at 99 s, beyond the end of the video; clamped to 1 s",
        ),
        (end(End::After(2.into())), "ends at 2 s"),
        (
            Range {
                start: Some(Position::BeforeEnd(4.into())),
                end: None,
            },
            "starts before the video, which is 1 s long",
        ),
    ] {
        let notes = noted(Selection::All, range);
        assert!(notes.len() == 1 && notes[0].contains(words), "{notes:?}");
    }
    let repeats = noted(Selection::Count(25), Range::default());
    assert_eq!(
        repeats,
        ["15 of 25 pictures repeat the frame of the picture before"]
    );
}

#[test]
fn rejects_a_large_grid_much_finer_than_the_frames() {
    let base = TimeBase::new(1, 1).unwrap();
    // A day at one frame per minute.
    let slow = Timeline::new(base, (0..1440).map(|minute| minute * 60).collect(), Some(60)).unwrap();
    let check = |timeline: &Timeline, rate: &str, range: &Range, per_frame| {
        check_grid(timeline, &Selection::Fps(rate.parse().unwrap()), range, per_frame)
    };
    let all = Range::default();
    let too_fine = SelectError::TooFine {
        pictures: 2_592_000,
        frames: 1440,
    };
    assert_eq!(check(&slow, "30", &all, 10), Err(too_fine));
    assert_eq!(check(&slow, "30", &all, u64::MAX), Ok(()));
    assert_eq!(check(&slow, "1/6", &all, 10), Ok(()), "ten for each frame");
    let hour = Range {
        start: None,
        end: Some(End::After(3600.into())),
    };
    assert_eq!(check(&slow, "2", &hour, 10), Ok(()), "few");
    assert!(check(&slow, "4", &hour, 10).is_err());
    assert_eq!(check(&ten_frames(), "10000", &all, 10), Ok(()), "few");
}

#[test]
fn frames_are_selected_by_their_numbers() {
    let frames = |numbers: &[u64]| {
        let selection = Selection::Frames(numbers.to_vec());
        let picks = select(&ten_frames(), &selection, &Range::default(), 10)?;
        Ok(picks.iter().map(|pick| pick.frame).collect::<Vec<_>>())
    };
    assert_eq!(frames(&[9, 0, 3, 3]), Ok(vec![0, 3, 3, 9]));
    for number in [10, u64::MAX] {
        assert_eq!(
            frames(&[0, number]),
            Err(SelectError::NoSuchFrame { number, last: 9 })
        );
    }
    assert_eq!(frames(&[0; 11]), Err(SelectError::TooManyFrames { limit: 10 }));
}

/// The choice is part of the interface: data sets are reproduced by their seeds.
#[test]
fn a_seed_always_chooses_the_same_frames_and_all_frames_are_equally_likely() {
    let timeline = Timeline::new(TimeBase::new(1, 10).unwrap(), (0..100).collect(), Some(1)).unwrap();
    let random = |count, seed| {
        let count = NonZeroU64::new(count).unwrap();
        let picks = select(
            &timeline,
            &Selection::Random { count, seed },
            &Range::default(),
            100,
        )?;
        Ok(picks.iter().map(|pick| pick.frame).collect::<Vec<_>>())
    };
    assert_eq!(random(5, 0), Ok(vec![2, 32, 33, 42, 53]));
    assert_eq!(random(5, 7), Ok(vec![1, 31, 44, 71, 84]));
    assert_eq!(
        random(101, 0),
        Err(SelectError::TooFewFrames {
            count: 101,
            frames: 100
        })
    );
    let mut chosen = [0u32; 100];
    for seed in 0..10_000 {
        random(10, seed)
            .unwrap()
            .iter()
            .for_each(|&frame| chosen[frame] += 1);
    }
    // Each frame is chosen 1000 times on average; seven standard deviations are 210.
    assert!(
        chosen.iter().all(|count| (790..1210).contains(count)),
        "{chosen:?}"
    );
}

#[test]
fn keyframes_of_the_range_are_selected() {
    let keyframes = |marked: &[i64], start: i128| {
        let timeline = ten_frames().with_keyframes(marked.iter().copied());
        let range = Range {
            start: Some(Position::Time(Ratio::new(start, 10))),
            end: None,
        };
        let picks = select(&timeline, &Selection::Keyframes, &range, 10)?;
        Ok(picks.iter().map(|pick| pick.frame).collect::<Vec<_>>())
    };
    assert_eq!(keyframes(&[108, 100, 104, 104, 99, 200], 0), Ok(vec![0, 4, 8]));
    assert_eq!(keyframes(&[100, 104, 108], 4), Ok(vec![4, 8]));
    assert_eq!(keyframes(&[100, 104], 5), Ok(vec![]));
    assert_eq!(keyframes(&[], 0), Err(SelectError::NoKeyframes));
}
