//! What the machine tells of the encodings that arrive.

use super::*;

/// A remote side that sends pictures in encodings.
struct Film {
    bench: Bench,
    frame: u16,
    last: Told,
}

/// Each encoding, and whether it arrives.
type Told = Vec<(&'static str, bool)>;

impl Film {
    /// It may send `h` and `l`.
    fn begin() -> Self {
        let mut session = session();
        session.receive().rids = vec!["h".into(), "l".into()];
        let bench = Bench::connected(session);
        Self {
            bench,
            frame: 0,
            last: Told::new(),
        }
    }

    /// Sends so many frames of these, one in 50 ms; those of `h` are large. Says what was told beside new rates.
    fn play(&mut self, rids: &[&'static str], frames: usize) -> Vec<Told> {
        let mut told = Vec::new();
        for _ in 0..frames {
            self.bench.now += Duration::from_millis(50);
            self.frame += 1;
            let mut brought = Vec::new();
            for rid in rids {
                let payload = vec![1; if *rid == "h" { 900 } else { 90 }];
                let ssrc = Ssrc(rid.as_bytes()[0].into());
                let elements = [(4, "v"), (10, *rid)];
                let bytes = rtp_bytes(VIDEO, self.frame, ssrc, &elements, &payload);
                brought.push(self.bench.remote.rtp(&bytes));
            }
            let events = self.bench.receive(brought);
            told.extend(self.news(events));
        }
        told
    }

    fn news(&mut self, events: Vec<Event>) -> Vec<Told> {
        let mut told: Vec<_> = events.into_iter().filter_map(told_by).collect();
        told.retain(|told| mem::replace(&mut self.last, told.clone()) != *told);
        told
    }
}

fn told_by(event: Event) -> Option<Told> {
    let Event::LayersChanged { layers, .. } = event else {
        return None;
    };
    let name = |rid: &Rid| ["l", "h"].into_iter().find(|it| *it == rid.as_str());
    let layers = layers.iter();
    let told = layers.map(|it| (it.rid.as_ref().and_then(name).unwrap_or("?"), it.active));
    Some(told.collect())
}

fn both(l: bool, h: bool) -> Told {
    vec![("l", l), ("h", h)]
}

#[test]
fn encodings_that_begin_pause_and_come_back_are_told() {
    let mut film = Film::begin();
    assert_eq!(film.play(&["h", "l"], 40), [both(true, true)]);
    assert_eq!(film.play(&["l"], 15), [both(true, false)]);
    assert_eq!(film.play(&["h", "l"], 15), [both(true, true)]);
}

#[test]
fn what_an_encoding_takes_with_fewer_of_its_layers_is_told() {
    let mut bench = Bench::connected(session());
    let mut limited = Vec::new();
    for frame in 0..80_u16 {
        bench.now += Duration::from_millis(50);
        let temporal = [0, 2, 1, 2][usize::from(frame) % 4];
        let mut payload = vec![0x90, 0x20, temporal << 6, 1];
        payload.resize(900, 1);
        let bytes = rtp_bytes(VIDEO, frame, Ssrc(1), &[(4, "v")], &payload);
        let brought = vec![bench.remote.rtp(&bytes)];
        for event in bench.receive(brought) {
            if let Event::LayersChanged { layers, .. } = event {
                limited = layers[0].limited.clone();
            }
        }
    }
    let names = limited.iter().map(|it| it.limit.to_string());
    assert_eq!(Vec::from_iter(names), ["L1T1", "L1T2", "L1T3"]);
    let whole = limited[2].bits_per_second as f64;
    for (part, share) in limited.iter().zip([0.25, 0.5, 1.0]) {
        let found = part.bits_per_second as f64 / whole;
        assert!((found - share).abs() < 0.06, "{found} instead of {share}");
    }
}

#[test]
fn an_encoding_that_nobody_has_negotiated_is_none() {
    let mut film = Film::begin();
    let told = film.play(&["a", "b", "c", "d", "h"], 40);
    // What has never come is last.
    assert_eq!(told, [[("h", true), ("l", false)]]);
    assert_eq!(film.bench.stats().unrouted, 160);
}

#[test]
fn when_nothing_comes_any_more_a_timer_tells_and_is_not_armed_again() {
    let mut film = Film::begin();
    film.play(&["h", "l"], 20);
    let mut told = Vec::new();
    while let Some(at) = film.bench.armed(RtpTransportTimer::Layers) {
        let bench = &mut film.bench;
        bench.now = bench.now.max(at);
        let (timer, effects) = (RtpTransportTimer::Layers, &mut bench.effects);
        bench.machine.handle_timer(timer, bench.now, NTP, effects);
        let events = bench.events();
        told.extend(film.news(events));
    }
    assert_eq!(told, [both(false, false)]);
    assert_eq!(film.play(&["h", "l"], 10), [both(true, true)]);
}

#[test]
fn a_track_that_is_negotiated_anew_keeps_what_is_known_of_its_encodings() {
    let mut film = Film::begin();
    film.play(&["h", "l"], 20);
    film.bench.apply();
    assert!(film.play(&["h", "l"], 20).is_empty());
    film.bench.session.receive().rids = vec!["h".into()];
    film.bench.apply();
    assert_eq!(film.play(&["h"], 20), [[("h", true)]]);
}
