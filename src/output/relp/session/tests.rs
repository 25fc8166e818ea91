use proptest::prelude::*;

use super::*;

const WELCOME: &str = "200 OK\nrelp_version=0\nrelp_software=x,1,http://x\ncommands=syslog\n";

fn rsp(txnr: u32, words: &str) -> Vec<u8> {
    format!("{txnr} rsp {} {words}\n", words.len()).into_bytes()
}

fn opened() -> Session {
    let mut session = Session::begin(&mut Vec::new());
    session.hear(&rsp(1, WELCOME)).unwrap();
    session
}

/// An open session that has sent messages of these lengths, in transactions 2, 3, …
fn sent(lengths: &[usize]) -> Session {
    let mut session = opened();
    for length in lengths {
        session.message(&vec![b'x'; *length], &mut Vec::new());
    }
    session
}

fn broken(result: Result<(), End>) -> String {
    let Err(End::Broken(_, why)) = result else { panic!("{result:?}") };
    why
}

#[test]
fn a_session_opens_carries_messages_and_closes() {
    let mut out = Vec::new();
    let mut session = Session::begin(&mut out);
    let offers = "relp_version=0\nrelp_software=downspout\ncommands=syslog";
    assert_eq!(out, format!("1 open {} {offers}\n", offers.len()).into_bytes());
    assert!(session.is_opening() && session.unanswered() == 1);
    session.hear(&rsp(1, WELCOME)).unwrap();
    assert!(!session.is_opening() && session.waiting() == 0);
    out.clear();
    session.message(b"one", &mut out);
    session.message(b"two\n", &mut out);
    session.hear(&[rsp(2, "200 OK"), rsp(3, "200")].concat()).unwrap();
    assert_eq!(session.settled(), 7);
    session.close(&mut out);
    assert_eq!(out, b"2 syslog 3 one\n3 syslog 4 two\n\n4 close 0\n");
    session.hear(&[rsp(4, "200 OK"), b"0 serverclose 0\n".to_vec()].concat()).unwrap();
    assert!(session.is_closed());
}

#[test]
fn a_server_that_does_not_let_us_in_is_quoted() {
    for (words, part) in [
        ("500 no more sessions", "500 no more sessions"),
        ("200 OK\ncommands=syslog", "lacks relp_version"),
        ("200 OK\nrelp_version=0\ncommands=eventlog", "eventlog"),
        ("200 OK", "lacks relp_version"),
        ("2000 OK", "no status"),
        ("OK", "no status"),
        ("+20", "no status"),
    ] {
        let mut session = Session::begin(&mut Vec::new());
        let why = broken(session.hear(&rsp(1, words)));
        assert!(why.contains(part), "{why}");
        assert!(session.is_opening());
    }
}

#[test]
fn numbers_begin_again_after_the_last() {
    let mut session = opened();
    session.first = LAST_TXNR - 1;
    let mut out = Vec::new();
    for _ in 0..4 {
        session.message(b"x", &mut out);
    }
    let lines = ["999999998", "999999999", "1", "2"].map(|txnr| format!("{txnr} syslog 1 x\n"));
    assert_eq!(out, lines.concat().into_bytes());
    for (txnr, settled) in [(1, 0), (LAST_TXNR - 1, 1), (2, 1), (LAST_TXNR, 4)] {
        session.hear(&rsp(txnr, "200 OK")).unwrap();
        assert_eq!(session.settled(), settled, "after {txnr}");
    }
    assert_eq!((session.first, session.waiting()), (3, 0));
}

#[test]
fn an_answer_that_nobody_waits_for_ends_the_session() {
    for txnr in [0, 1, 2, 5, LAST_TXNR] {
        let mut session = sent(&[1, 1, 1]);
        session.hear(&rsp(2, "200 OK")).unwrap();
        let why = broken(session.hear(&rsp(txnr, "200 OK")));
        assert!(why.contains(&format!("transaction {txnr},")), "{why}");
        assert_eq!(session.settled(), 1);
    }
    let mut session = sent(&[1, 1]);
    session.hear(&rsp(3, "200 OK")).unwrap();
    broken(session.hear(&rsp(3, "200 OK")));
}

#[test]
fn hints_are_heeded_or_passed_over_and_commands_refused() {
    let mut session = sent(&[1, 1]);
    session.hear(b"0 weather 4 rain\n").unwrap();
    let both = [rsp(2, "200 OK"), b"0 serverclose 0\n".to_vec()].concat();
    let why = broken(session.hear(&both));
    assert!(why.contains("announced that it closes"), "{why}");
    assert_eq!(session.settled(), 1, "what came before counts");
    let why = broken(sent(&[1]).hear(b"2 syslog 1 x\n"));
    assert!(why.contains("'syslog'"), "{why}");
    let why = broken(sent(&[1]).hear(b"\x15\x03\x03\0\x02"));
    assert!(why.contains("does not speak RELP") && why.contains("TLS"), "{why}");
}

#[test]
fn a_refused_message_counts_once_it_is_the_first_and_others_are_judged() {
    let refused = |others| Err(End::Refused { why: "500 no".to_owned(), others });
    // Others are accepted: before it, after it.
    let mut session = sent(&[1, 1]);
    session.hear(&rsp(3, "500 no")).unwrap();
    assert_eq!(session.hear(&rsp(2, "200 OK")), refused(true));
    assert_eq!(session.settled(), 1);
    let mut session = sent(&[1, 1, 1]);
    session.hear(&rsp(2, "500 no")).unwrap();
    assert_eq!(session.hear(&rsp(4, "200 OK")), refused(true));
    assert_eq!((session.settled(), session.refusal()), (0, Some("500 no")));
    // None is.
    let mut session = sent(&[1, 1]);
    session.hear(&rsp(2, "500 no")).unwrap();
    assert_eq!(session.hear(&rsp(3, "500 no")), refused(false));
}

#[test]
fn an_empty_message_that_is_refused_does_not_cost_the_next_one() {
    let mut session = sent(&[2, 0, 3]);
    session.hear(&[rsp(2, "200 OK"), rsp(3, "500 no")].concat()).unwrap();
    session.hear(&rsp(4, "200 OK")).unwrap();
    assert_eq!((session.settled(), session.waiting()), (5, 0));
}

/// Some messages, and the order in which they are answered.
fn shuffled() -> impl Strategy<Value = (Vec<usize>, Vec<usize>)> {
    prop::collection::vec(1_usize..50, 1..40).prop_flat_map(|lengths| {
        let order: Vec<usize> = (0..lengths.len()).collect();
        (Just(lengths), Just(order).prop_shuffle())
    })
}

proptest! {
    #[test]
    fn settled_is_the_longest_prefix_that_is_answered(
        (lengths, order) in shuffled(),
        first in prop_oneof![1..100_u32, LAST_TXNR - 40..=LAST_TXNR],
    ) {
        let mut session = opened();
        session.first = first;
        for length in &lengths {
            session.message(&vec![b'x'; *length], &mut Vec::new());
        }
        let mut answered = vec![false; lengths.len()];
        for place in order {
            let txnr = (u64::from(first) - 1 + place as u64) % u64::from(LAST_TXNR) + 1;
            session.hear(&rsp(u32::try_from(txnr).unwrap(), "200 OK")).unwrap();
            answered[place] = true;
            let prefix = answered.iter().take_while(|answered| **answered).count();
            let settled: usize = lengths[..prefix].iter().sum();
            prop_assert_eq!(session.settled(), settled as u64);
            prop_assert_eq!(session.waiting(), lengths.len() - prefix);
            let open = answered.iter().filter(|answered| !**answered).count();
            prop_assert_eq!(session.unanswered(), open);
        }
    }

    #[test]
    fn answers_may_be_cut_anywhere(
        (lengths, order) in shuffled(),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..20),
    ) {
        let txnr = |place: &usize| u32::try_from(place + 2).unwrap();
        let stream: Vec<u8> =
            order.iter().flat_map(|place| rsp(txnr(place), "200 OK\nmore\n")).collect();
        let mut places: Vec<usize> = cuts.iter().map(|cut| cut.index(stream.len())).collect();
        places.extend([0, stream.len()]);
        places.sort_unstable();
        let mut session = sent(&lengths);
        for pair in places.windows(2) {
            session.hear(&stream[pair[0]..pair[1]]).unwrap();
        }
        prop_assert_eq!(session.settled(), lengths.iter().sum::<usize>() as u64);
        prop_assert!(session.partial.is_empty());
    }

    #[test]
    fn whatever_a_server_says_is_survived_and_bounded(
        parts in prop::collection::vec(
            prop_oneof![
                prop::collection::vec(any::<u8>(), 0..40),
                (0..6_u32, 0..600_u16).prop_map(|(txnr, code)| rsp(txnr, &format!("{code:03}"))),
                Just(b"0 x 0\n".to_vec()),
                Just(b"2 rsp 8192 ".to_vec()),
            ],
            0..30,
        ),
    ) {
        let mut session = sent(&[1, 2, 3]);
        for part in parts {
            let before = session.settled();
            let result = session.hear(&part);
            prop_assert!((before..=6).contains(&session.settled()));
            prop_assert!(session.partial.len() < 64 + frame::DATA_LIMIT_BYTES);
            if result.is_err() {
                break;
            }
        }
    }
}
