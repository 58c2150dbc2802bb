mod stream;

use self::stream::*;
use super::*;

#[test]
fn only_active_entries_of_the_lists_count() {
    let config = Config::default();
    let stream = chain(&config, 4);
    assert_eq!(
        found(&config, &stream).unwrap(),
        [vec![], vec![0], vec![0, 1], vec![0, 2]],
        "the last picture keeps 0 and 1, but uses 2 only; 0 is the start"
    );
    let modified = Config {
        modifications: true,
        ..Config::default()
    };
    let stream = chain(&config, 4);
    type Case<'a> = (&'a Config, bool, &'a [(u32, bool)], Bits, &'a [usize]);
    let cases: [Case<'_>; 8] = [
        (&config, false, &[(1, true), (2, true)], lists(&[2]), &[0, 2, 3]),
        (&config, false, &[(1, false), (2, true)], lists(&[]), &[0, 2]),
        (&config, false, &[(1, true), (2, true)], lists(&[3]), &[0, 2, 3]),
        (&config, true, &[(1, true), (2, true)], lists(&[1, 1]), &[0, 3]),
        (&config, true, &[(1, true), (2, true)], lists(&[1, 2]), &[0, 2, 3]),
        // list_entry_l0: the second picture, first of two and then of three.
        (
            &modified,
            false,
            &[(1, true), (2, true)],
            lists(&[1]).u(1, 1).u(1, 1),
            &[0, 2],
        ),
        (
            &modified,
            false,
            &[(1, true), (2, true), (3, true)],
            lists(&[2]).u(1, 1).u(2, 1).u(2, 2),
            &[0, 1, 2],
        ),
        // Without a choice there is no modification.
        (&modified, false, &[(2, true)], lists(&[1]), &[0, 2]),
    ];
    for (at, (config, bidirectional, before, rest, expected)) in cases.into_iter().enumerate() {
        let mut stream = stream.clone();
        let slice = config.inter((TRAILING, 0), 0, 4, (bidirectional, &own(before, &[]), &rest));
        stream.push(vec![slice]);
        assert_eq!(last(config, &stream).as_deref(), Some(expected), "{at}");
    }
    // An entry beyond the pictures, and a picture without references.
    for (before, rest) in [
        (
            &[(1, true), (2, true), (3, true)][..],
            lists(&[1]).u(1, 1).u(2, 3),
        ),
        (&[(1, false)], lists(&[1])),
    ] {
        let slice = modified.inter((TRAILING, 0), 0, 4, (false, &own(before, &[]), &rest));
        assert_eq!(last(&modified, &[&stream[..], &[vec![slice]]].concat()), None);
    }
}

#[test]
fn lists_contain_pictures_of_both_directions_in_their_order() {
    let config = Config::default();
    let between = own(&[(4, true)], &[(4, true)]);
    let stream = [
        vec![config.intra(REFRESH, 0)],
        predicted(&config, 8, &[8]),
        vec![config.inter((TRAILING, 0), 0, 4, (false, &between, &lists(&[])))],
    ];
    // Picture 6 between 4 and 8, which are the first entries of the lists.
    let set = own(&[(2, true), (6, true)], &[(2, true)]);
    for (bidirectional, sizes, expected) in [
        (false, &[][..], &[0, 2][..]),
        (false, &[3], &[0, 1, 2]),
        (true, &[], &[0, 1, 2]),
        (true, &[1, 1], &[0, 1, 2]),
        (true, &[2, 1], &[0, 1, 2]),
    ] {
        let slice = config.inter((TRAILING_UNUSED, 0), 0, 6, (bidirectional, &set, &lists(sizes)));
        let stream = [&stream[..], &[vec![slice]]].concat();
        assert_eq!(last(&config, &stream).as_deref(), Some(expected), "{sizes:?}");
    }
    // Without earlier pictures both lists begin with the later one.
    let set = own(&[(2, false), (6, false)], &[(2, true)]);
    let slice = config.inter((TRAILING_UNUSED, 0), 0, 6, (true, &set, &lists(&[])));
    let stream = [&stream[..], &[vec![slice]]].concat();
    assert_eq!(last(&config, &stream), Some(vec![0, 1]));
}

#[test]
fn every_slice_counts() {
    let config = Config {
        dependent: true,
        modifications: true,
        extra_bits: 2,
        ..Config::default()
    };
    let stream = chain(&config, 3);
    let set = own(&[(1, true), (2, true)], &[]);
    let first = config.inter((TRAILING, 0), 0, 3, (false, &set, &lists(&[]).u(1, 0)));
    let second = config.inter((TRAILING, 0), 4, 3, (false, &set, &lists(&[]).u(1, 1).u(1, 1)));
    let dependent = config.segment(TRAILING, 2, true).u(8, 0xff).unit(TRAILING, 0);
    let with = |units: &[&Vec<u8>]| {
        let units = units.iter().map(|unit| (*unit).clone()).collect();
        last(&config, &[&stream[..], &[units]].concat())
    };
    assert_eq!(with(&[&first]), Some(vec![0, 2]));
    assert_eq!(with(&[&first, &dependent]), Some(vec![0, 2]));
    assert_eq!(with(&[&first, &dependent, &second]), Some(vec![0, 1, 2]));
    assert_eq!(with(&[&second]), None, "the first slice is missing");
    assert_eq!(with(&[&first, &first]), None, "two pictures");
    let other = own(&[(1, true)], &[]);
    let other = config.inter((TRAILING, 0), 4, 3, (false, &other, &lists(&[])));
    assert_eq!(with(&[&first, &other]), None, "another set");
    let beyond = config.segment(TRAILING, 0, true);
    assert_eq!(with(&[&first, &beyond.unit(TRAILING, 0)]), None);
}

#[test]
fn sets_are_predicted_from_others() {
    // The first set: -1, -2 and +3. The second: all of them, and the picture itself, 1 earlier; the first unused.
    let config = Config {
        sets: explicit(&[(1, true), (2, true)], &[(3, true)])
            .u(1, 1)
            .u(1, 1)
            .ue(0)
            .u(2, 0b01)
            .u(1, 1)
            .u(1, 1)
            .u(1, 1),
        set_count: 2,
        ..Config::default()
    };
    let sets = HevcSequence::read(&config.sequence()).unwrap().sets;
    let distances = |side: &[crate::video::parameter_sets::SetEntry]| {
        side.iter()
            .map(|entry| (entry.distance, entry.used))
            .collect::<Vec<_>>()
    };
    assert_eq!(distances(&sets[1].before), [(-1, true), (-2, false), (-3, true)]);
    assert_eq!(distances(&sets[1].after), [(2, true)]);
    let one = |low: u32, set: Bits| vec![config.inter((TRAILING, 0), 0, low, (false, &set, &lists(&[])))];
    let stream = [
        vec![config.intra(REFRESH, 0)],
        one(1, Bits::default().u(2, 0).all(&explicit(&[(1, true)], &[]))),
        one(
            2,
            Bits::default()
                .u(2, 0)
                .all(&explicit(&[(1, true), (2, true)], &[])),
        ),
        one(
            3,
            Bits::default()
                .u(2, 0)
                .all(&explicit(&[(1, true), (2, true), (3, true)], &[])),
        ),
    ];
    // Predicted from the first set (delta_idx_minus1 1), 1 later; the pictures at 0 and -1, and the one at +4.
    let predicted = Bits::default()
        .u(1, 0)
        .u(1, 1)
        .ue(1)
        .u(1, 0)
        .ue(0)
        .u(1, 1)
        .u(1, 1)
        .u(1, 1)
        .u(1, 1);
    // From the second set, 1 earlier; -2 is used, -1 (the picture itself) is neither used nor kept.
    let again = Bits::default()
        .u(1, 0)
        .u(1, 1)
        .ue(0)
        .u(1, 1)
        .ue(0)
        .u(1, 1)
        .u(2, 0b01)
        .u(2, 0b01)
        .u(2, 0)
        .u(2, 0);
    for (set, expected) in [
        (Bits::default().u(1, 1).u(1, 0), Some(vec![0, 3])),
        (Bits::default().u(1, 1).u(1, 1), Some(vec![0, 3])),
        (predicted, Some(vec![0, 3])),
        (again, Some(vec![0, 2])),
        (Bits::default().u(1, 0).u(1, 1).ue(2), None),
    ] {
        let stream = [&stream[..], &[one(4, set)]].concat();
        assert_eq!(last(&config, &stream), expected);
    }
}

#[test]
fn finds_long_term_references() {
    let config = Config {
        order_bits: 4,
        far: Some(vec![(1, true), (3, true)]),
        ..Config::default()
    };
    // Appends the long-term pictures of a slice after its set.
    let slice = |low: u32, near: &[(u32, bool)], far: Bits| {
        vec![config.inter(
            (TRAILING, 0),
            0,
            low,
            (false, &own(near, &[]).all(&far), &lists(&[])),
        )]
    };
    let none = Bits::default().ues(&[0, 0]);
    let keep = |low: u32| Bits::default().ues(&[0, 1]).u(4, low).u(1, 1).u(1, 0);
    let mut stream = vec![
        vec![config.intra(REFRESH, 0)],
        slice(1, &[(1, true)], none.clone()),
        slice(2, &[(1, true), (2, true)], none.clone()),
        slice(3, &[(1, true), (2, true), (3, true)], none.clone()),
    ];
    let unused = |low: u32, cycles: Option<u32>| {
        let bits = Bits::default().ues(&[0, 1]).u(4, low).u(1, 1);
        cycles.map_or(bits.clone().u(1, 0), |cycles| bits.u(1, 1).ue(cycles))
    };
    for (far, expected) in [
        (keep(2), Some(vec![0, 2])),
        (unused(2, Some(0)), Some(vec![0, 2])),
        (unused(2, Some(1)), None),
        // The second candidate of the sequence parameter set.
        (Bits::default().ues(&[1, 0]).u(1, 1).u(1, 0), Some(vec![0, 3])),
        (unused(9, None), None),
    ] {
        let stream = [&stream[..], &[slice(4, &[], far)]].concat();
        assert_eq!(last(&config, &stream), expected);
    }
    // Sixteen pictures later, the low bits of picture 2 are those of two pictures.
    for order in 4..19u32 {
        stream.push(slice(
            order % 16,
            &[(1, true)],
            unused(2, Some(u32::from(order >= 16))),
        ));
    }
    assert!(found(&config, &stream).is_some());
    let exact = [&stream[..], &[slice(3, &[], unused(2, Some(1)))]].concat();
    assert_eq!(
        last(&config, &exact),
        Some(vec![0, 2, 14]),
        "14 for its order count"
    );
    let ambiguous = [&stream[..], &[slice(3, &[], unused(2, None))]].concat();
    assert_eq!(last(&config, &ambiguous), None);
}

#[test]
fn keeps_pictures_to_which_order_counts_are_relative() {
    let config = Config {
        order_bits: 4,
        ..Config::default()
    };
    // Every picture uses the refresh only, whose order count is up to 6 lower.
    let mut stream = vec![vec![config.intra(REFRESH, 0)]];
    for order in 1..21u32 {
        let set = own(&[(order, true)], &[]);
        stream.push(vec![config.inter(
            (TRAILING, 0),
            0,
            order % 16,
            (false, &set, &lists(&[])),
        )]);
    }
    let references = found(&config, &stream).unwrap();
    assert_eq!(references[7], [0]);
    assert_eq!(references[8], [0, 7], "a distance of 8 would be one of -8");
    assert_eq!(references[14], [0, 7]);
    assert_eq!(references[15], [0, 14]);
    assert_eq!(references[20], [0, 14]);
    // Pictures of other layers, leading pictures and unreferenced pictures do not count.
    for kind in [(TRAILING, 1), (TRAILING_UNUSED, 0)] {
        let set = own(&[(7, true)], &[]);
        stream[7] = vec![config.inter(kind, 0, 7, (false, &set, &lists(&[])))];
        assert_eq!(found(&config, &stream).unwrap()[8], [0, 6], "{kind:?}");
    }
}

#[test]
fn leading_pictures_of_the_first_sample_refer_outside() {
    let config = Config::default();
    let leading = |low: u32, before: u32, after: u32| {
        let set = own(&[(before, true)], &[(after, true)]);
        vec![config.inter((SKIPPED_LEADING, 0), 0, low, (true, &set, &lists(&[])))]
    };
    let next = |low: u32, before: u32| predicted(&config, low, &[before]);
    let group = |kind: u8, low: u32| {
        [
            vec![config.intra(kind, low)],
            leading(low - 2, 2, 2),
            next(low + 4, 4),
        ]
    };
    for kind in [RANDOM_ACCESS, BROKEN_LINK] {
        assert_eq!(
            found(&config, &group(kind, 40)).unwrap(),
            [vec![], vec![0, OUTSIDE], vec![0]]
        );
    }
    // In a later group they refer to the group before it, if the start keeps its pictures.
    let keeps = Bits::default()
        .u(2, 0b10)
        .ues(&[0, 2])
        .u(8, 8)
        .u(1, 0)
        .all(&explicit(&[(4, true)], &[]))
        .u(1, 0)
        .u(2, 0);
    let start = vec![keeps.unit(RANDOM_ACCESS, 0)];
    let stream = [
        vec![config.intra(REFRESH, 0)],
        next(4, 4),
        start,
        leading(6, 2, 2),
        next(12, 4),
    ];
    assert_eq!(
        found(&config, &stream).unwrap(),
        [vec![], vec![0], vec![0], vec![0, 1, 2], vec![0, 2]]
    );
    let mut lost = stream.clone();
    lost[2] = vec![config.intra(RANDOM_ACCESS, 8)];
    assert_eq!(found(&config, &lost), None, "the start does not keep them");
    // A refresh needs nothing, and its order counts begin anew.
    let stream = [
        vec![config.intra(REFRESH, 0)],
        next(4, 4),
        vec![config.intra(REFRESH, 0)],
        next(4, 4),
    ];
    assert_eq!(
        found(&config, &stream).unwrap(),
        [vec![], vec![0], vec![], vec![2]]
    );
}

/// Returns picture 3 with this parameter set and `pic_output_flag`.
fn crafted(parameter_set: u32, output: bool) -> Vec<u8> {
    let bits = Bits::default().u(1, 1).ues(&[parameter_set, 1]);
    let bits = bits.u(1, output.into()).u(8, 3).all(&own(&[(1, true)], &[]));
    bits.all(&lists(&[])).unit(TRAILING, 0)
}

#[test]
fn unusual_samples_are_refused() {
    let config = Config {
        output_flag: true,
        ..Config::default()
    };
    let stream = chain(&config, 3);
    assert!(found(&config, &stream).is_some());
    assert_eq!(found(&config, &stream[1..]), None, "no start");
    let with = |units: &[Vec<u8>]| last(&config, &[&stream[..], &[units.to_vec()]].concat());
    let picture = predicted(&config, 3, &[1]).remove(0);
    let message = |kind: u32| Bits::default().u(8, kind).u(8, 1).u(8, 0).unit(39, 0);
    let mut layer = picture.clone();
    layer[1] |= 8;
    let silent = crafted(0, false);
    let other_set = crafted(1, true);
    let discards = Bits::default().u(2, 3).ues(&[0, 2]).u(3, 4);
    let discards = discards.unit(REFRESH, 0);
    let usual = Some(vec![0, 2]);
    for (units, expected, why) in [
        (vec![picture.clone()], usual.clone(), "a usual picture"),
        (vec![crafted(0, true)], usual.clone(), "a crafted picture"),
        (
            vec![config.sequence(), config.picture(), picture.clone()],
            usual.clone(),
            "repeated parameter sets",
        ),
        (
            vec![vec![70, 1], message(132), picture.clone()],
            usual,
            "a delimiter and a hash",
        ),
        (
            vec![message(19), picture.clone()],
            None,
            "film grain, which may persist",
        ),
        (
            vec![message(19), config.intra(REFRESH, 0)],
            Some(vec![]),
            "film grain at a start",
        ),
        (
            vec![Config::default().picture(), picture.clone()],
            None,
            "another parameter set",
        ),
        (
            vec![picture.clone(), vec![36 << 1, 1, 0x80]],
            None,
            "an end of sequence",
        ),
        (
            vec![picture.clone(), vec![62 << 1, 1, 0x80]],
            None,
            "metadata of another standard",
        ),
        (vec![layer], None, "another layer"),
        (vec![silent], None, "a picture that is not returned"),
        (vec![other_set], None, "an unknown parameter set"),
        (vec![discards], None, "a start that discards pictures"),
        (vec![config.intra(22, 8)], None, "a reserved type"),
        (predicted(&config, 2, &[1]), None, "an order count that exists"),
        (
            predicted(&config, 3, &[7]),
            None,
            "a reference that does not exist",
        ),
        (vec![], None, "no picture"),
    ] {
        assert_eq!(with(&units), expected, "{why}");
    }
}

#[test]
fn incomplete_data_is_refused() {
    let config = Config::default();
    let stream = chain(&config, 3);
    let picture = predicted(&config, 3, &[1]).remove(0);
    for end in 0..picture.len() - 1 {
        let units = vec![picture[..end].to_vec()];
        let found = last(&config, &[&stream[..], &[units]].concat());
        // The last byte belongs to the data after the header.
        assert!(found.is_none() || end + 2 >= picture.len(), "{end}");
    }
    let content = config.configuration();
    for end in 0..content.len() {
        assert!(references(&content[..end], &[&[]]).is_none(), "{end}");
    }
    // Dropped by picture 3, and used by picture 4.
    let dropped = [
        &stream[..],
        &[predicted(&config, 3, &[1]), predicted(&config, 4, &[3])],
    ]
    .concat();
    assert_eq!(found(&config, &dropped), None);
}

#[test]
fn missing_references_are_those_of_fed_pictures() {
    let config = Config::default();
    let samples: Vec<Vec<u8>> = chain(&config, 6).iter().map(|units| sample(units)).collect();
    let mut samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let content = config.configuration();
    let missing = |samples: &[&[u8]], needed: &[usize]| {
        let needed: Vec<bool> = (0..samples.len()).map(|at| needed.contains(&at)).collect();
        missing(&content, samples, &needed)
    };
    assert_eq!(missing(&samples, &[0, 1, 2, 3]), Some(vec![]));
    assert_eq!(missing(&samples, &[0, 1, 3]), None, "3 uses 2");
    // Another picture uses 1 only, and keeps 2 to 4.
    let set = own(&[(1, false), (2, false), (3, false), (5, true)], &[]);
    let slice = sample(&[config.inter((TRAILING, 0), 0, 6, (false, &set, &lists(&[])))]);
    samples.push(&slice);
    assert_eq!(missing(&samples, &[0, 1, 2, 6]), Some(vec![5, 4, 3]));
    // Without an intermediate picture, a decoder would calculate other order counts.
    let config = Config {
        order_bits: 4,
        ..Config::default()
    };
    let content = config.configuration();
    let far = |order: u32| {
        let set = own(&[(order, true)], &[]);
        sample(&[config.inter((TRAILING, 0), 0, order % 16, (false, &set, &lists(&[])))])
    };
    let samples = [sample(&[config.intra(REFRESH, 0)]), far(7), far(9)];
    let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
    let all = super::missing(&content, &samples, &[true; 3]);
    assert_eq!(all, Some(vec![]));
    assert_eq!(super::missing(&content, &samples, &[true, false, true]), None);
}

#[test]
fn emulation_prevention_is_removed() {
    let escaped = [0, 0, 3, 1, 0, 0, 3, 0, 0, 3, 3, 0, 3];
    assert_eq!(unescaped(&escaped), [0, 0, 1, 0, 0, 0, 0, 3, 0, 3]);
    assert_eq!(unescaped(&[7; 5000]).len(), 1024);
    // The parameter sets of this configuration have long zeros.
    assert!(
        Config::default()
            .sequence()
            .windows(3)
            .any(|bytes| bytes == [0, 0, 3])
    );
}

#[test]
fn damaged_data_does_not_panic() {
    let config = Config {
        far: Some(vec![(1, true)]),
        set_count: 1,
        sets: explicit(&[(1, true)], &[]),
        dependent: true,
        modifications: true,
        active: [2, 2],
        ..Config::default()
    };
    let set = Bits::default().u(1, 1).ues(&[1, 0]).u(1, 1).ue(3);
    let second = config.inter((TRAILING, 0), 3, 1, (true, &set, &lists(&[2, 2]).u(1, 1).u(5, 9)));
    let first = config.inter((TRAILING, 0), 0, 1, (true, &set, &lists(&[2, 2]).u(1, 1).u(5, 9)));
    let mut samples = vec![sample(&[config.intra(REFRESH, 0)]), sample(&[first, second])];
    let mut content = config.configuration();
    let try_all = |content: &[u8], samples: &[Vec<u8>]| {
        let samples: Vec<&[u8]> = samples.iter().map(Vec::as_slice).collect();
        let _ = references(content, &samples);
        let _ = missing(content, &samples, &[true, false]);
    };
    for at in 0..content.len() {
        for value in [0, 0xff, 0x80, 0x55, content[at] ^ 1, content[at] ^ 16] {
            let old = std::mem::replace(&mut content[at], value);
            try_all(&content, &samples);
            content[at] = old;
        }
    }
    for at in 0..samples[1].len() {
        for value in 0..=255 {
            let old = std::mem::replace(&mut samples[1][at], value);
            try_all(&content, &samples);
            samples[1][at] = old;
        }
    }
}
