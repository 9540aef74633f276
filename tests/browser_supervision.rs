//! The example of supervised forwarders as its users meet it: two pages in a room, and actors that are killed by button.
#![allow(clippy::unwrap_used)]

#[path = "common/browser.rs"]
#[allow(dead_code, reason = "each test file uses a part of the driver")]
mod browser;
#[path = "../examples/supervised_forwarders/main.rs"]
#[allow(dead_code, reason = "the command line is not part of these tests")]
mod supervised_forwarders;

use std::collections::BTreeMap;
use std::time::Duration;

use tokio::task::JoinHandle;
use tokio::time::{Instant, sleep};

use self::browser::{Browser, Page, all_peers_end, serve_site};
use self::supervised_forwarders::app;
use self::supervised_forwarders::common::arguments::Arguments;
use self::supervised_forwarders::house::House;

#[tokio::test(flavor = "multi_thread")]
async fn what_is_killed_in_the_page_comes_back_and_who_is_not_below_it_notices_nothing() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let [ada, bob] = [stage.open("Ada").await, stage.open("Bob").await];
    for page in [&ada, &bob] {
        page.click("join").await;
    }
    sees(&ada, "Bob").await;
    sees(&bob, "Ada").await;
    let flows = "[...document.querySelectorAll('[data-kind=RtpTransport]')]
        .filter(line => /in [^–].*bit.s/.test(line.textContent)).length >= 2";
    ada.wait_until(flows, PATIENCE).await;
    let green: String = ada.eval("idOf('Room', 'green')").await;

    // The Forwarder is the room's to start again: pictures go on, and nobody leaves.
    let peers: Vec<String> = ada.eval("idsOf('PeerConnection')").await;
    assert_eq!(peers.len(), 2);
    let former: String = ada.eval("press('Forwarder', 'blue')").await;
    comes_back(&ada, "Forwarder", "blue", &former).await;
    sees(&ada, "Bob").await;
    let same: Vec<String> = ada.eval("idsOf('PeerConnection')").await;
    assert_eq!(peers, same);

    // A part of a peer is that participant's end, and the page comes back by itself.
    let () = ada.eval("press('RtpTransport', 'Bob'), undefined").await;
    let anew = format!(
        "idsOf('PeerConnection').length === 2 && idsOf('PeerConnection').filter(id => {peers:?}.includes(id)).length === 1"
    );
    ada.wait_until(&anew, PATIENCE).await;
    sees(&ada, "Bob").await;

    // The room itself is the supervisor's: another one, and both come back into it.
    let former: String = ada.eval("press('Room', 'blue')").await;
    comes_back(&ada, "Room", "blue", &former).await;
    let counted = "/started again 1 ×/.test(line('Keeper', 'blue').textContent)";
    ada.wait_until(counted, PATIENCE).await;
    sees(&ada, "Bob").await;
    sees(&bob, "Ada").await;
    assert_eq!(ada.eval::<String>("idOf('Room', 'green')").await, green);
    stage.strike().await;
}

/// The tree itself needs no browser.
#[tokio::test]
async fn without_its_socket_all_of_the_house_starts_again_without_a_keeper_one_room() {
    let house = House::build(Arguments::on_port(0)).await.unwrap();
    let names = ["endpoint", "rooms", "blue", "green", "pages"];
    let first = actors(&house, &names, &BTreeMap::new()).await;
    assert!(house.kill(&first["endpoint"]).await);
    let second = actors(&house, &names, &first).await;
    assert!(house.kill(&second["blue"]).await);
    let others = ["endpoint", "rooms", "green", "pages"];
    let same = |third: &BTreeMap<_, _>| others.iter().all(|it| third[*it] == second[*it]);
    let blue = BTreeMap::from([("blue".to_owned(), second["blue"].clone())]);
    assert!(same(&actors(&house, &names, &blue).await));
    assert!(!house.kill(&first["blue"]).await, "it is gone");
    house.close().await;
}

/// The actors of these names, once all are there and none is the one of before.
async fn actors(
    house: &House,
    names: &[&str],
    before: &BTreeMap<String, String>,
) -> BTreeMap<String, String> {
    let begun = Instant::now();
    loop {
        let tree = house.look().await;
        let all = tree.all().into_iter();
        let now: BTreeMap<_, _> = all
            .filter_map(|it| Some((it.name.clone()?, it.id.clone())))
            .collect();
        let is_new = |name: &&str| {
            now.get(*name)
                .is_some_and(|it| before.get(*name) != Some(it))
        };
        if names.iter().all(is_new) {
            return now;
        }
        assert!(begun.elapsed() < PATIENCE, "{now:?} after {before:?}");
        sleep(Duration::from_millis(10)).await;
    }
}

/// Waits until frames of the other one are decoded, ten more than before.
async fn sees(page: &Page, name: &str) {
    let frames = format!("frames('{name}')");
    let before: u64 = page.eval(&frames).await;
    let more = format!(
        "{frames} >= {} || {frames} < {before} && {frames} >= 10",
        before + 10
    );
    page.wait_until(&more, PATIENCE).await;
}

async fn comes_back(page: &Page, kind: &str, keeper: &str, former: &str) {
    let other = format!("![undefined, '{former}'].includes(idOf('{kind}', '{keeper}'))");
    page.wait_until(&other, PATIENCE).await;
}

/// The running example and a browser to visit it.
struct Stage {
    browser: Browser,
    url: String,
    house: House,
    server: JoinHandle<()>,
}

impl Stage {
    /// `None` where there is no browser.
    async fn set() -> Option<Self> {
        let browser = Browser::launch().await?;
        let house = House::build(Arguments::on_port(0)).await.unwrap();
        let (url, server) = serve_site(app(&house)).await;
        Some(Self {
            browser,
            url: format!("{url}?width=320&rate=15"),
            house,
            server,
        })
    }

    /// Opens the page, ready to join the blue room under this name.
    async fn open(&self, name: &'static str) -> Page {
        let page = self.browser.open(&self.url).await;
        let () = page.eval(TOOLS).await;
        let named = format!("element('name').value = '{name}', undefined");
        let () = page.eval(&named).await;
        page
    }

    /// Ends the example; everything below it has to end with it.
    async fn strike(self) {
        self.house.close().await;
        all_peers_end(Duration::from_secs(2)).await;
        self.server.abort();
    }
}

/// What the page shows: of a kind, below an actor of a name.
const TOOLS: &str = "(() => {
    const lines = () => [...document.querySelectorAll('#tree li:not(.gone)')].filter(line => line.dataset.kind);
    window.line = (kind, above) => lines().find(line => line.dataset.kind === kind
        && (line.dataset.name === above || line.parentElement.closest(`[data-name=\"${above}\"]`)));
    window.idOf = (kind, above) => line(kind, above)?.dataset.id;
    window.idsOf = kind => lines().filter(line => line.dataset.kind === kind).map(line => line.dataset.id);
    window.press = (kind, above) => {
        const victim = line(kind, above);
        victim.querySelector(':scope > .actor > button').click();
        return victim.dataset.id;
    };
    window.frames = name => {
        const tile = [...document.querySelectorAll('#tiles li')].find(tile => tile.querySelector('.name').textContent === name);
        return tile?.querySelector('video').getVideoPlaybackQuality().totalVideoFrames ?? 0;
    };
})()";

/// For a page that starts its camera and connects, on a busy machine.
const PATIENCE: Duration = Duration::from_secs(20);
