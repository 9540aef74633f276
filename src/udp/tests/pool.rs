//! Which endpoint of a pool a peer gets, and which ports they have.

use std::net::{Ipv4Addr, UdpSocket as StdSocket};
use std::num::NonZeroUsize;
use std::thread;

use super::*;
use crate::limits::EndpointLimits;

async fn pool(
    configuration: UdpEndpointConfiguration,
    count: usize,
) -> Result<UdpEndpointPool, UdpEndpointError> {
    let (supervisor, _) = Actor::spawn(None, Calm, ()).await.unwrap();
    let count = NonZeroUsize::new(count).unwrap();
    UdpEndpointPool::spawn(configuration, count, supervisor.get_cell()).await
}

async fn of(count: usize) -> UdpEndpointPool {
    pool(loopback(0), count).await.unwrap()
}

fn loopback(port: u16) -> UdpEndpointConfiguration {
    UdpEndpointConfiguration::address((Ipv4Addr::LOCALHOST, port).into())
}

/// The first of so many neighbouring ports that are free now.
fn free_neighbours(count: u16) -> u16 {
    (20_000..60_000)
        .step_by(11)
        .find(|first| {
            let held: Vec<_> = (*first..first + count)
                .map_while(|port| StdSocket::bind((Ipv4Addr::LOCALHOST, port)).ok())
                .collect();
            held.len() == usize::from(count)
        })
        .unwrap()
}

fn ports(pool: &UdpEndpointPool) -> Vec<u16> {
    pool.endpoints()
        .iter()
        .map(|endpoint| endpoint.local_addr().port())
        .collect()
}

fn peers(pool: &UdpEndpointPool) -> Vec<usize> {
    pool.endpoints()
        .iter()
        .map(|endpoint| endpoint.seats.taken())
        .collect()
}

async fn end(endpoint: &UdpEndpoint) {
    endpoint.cell().kill_and_wait(None).await.unwrap();
}

#[tokio::test]
async fn a_fixed_port_is_the_first_of_as_many_as_there_are_endpoints() {
    let first = free_neighbours(3);
    let pool = pool(loopback(first), 3).await.unwrap();
    assert_eq!(ports(&pool), [first, first + 1, first + 2]);
}

#[tokio::test]
async fn a_range_gives_each_endpoint_a_port_of_its_own_or_is_too_small() {
    let first = free_neighbours(2);
    let configuration = loopback(0).port_range(first..=first + 1);
    let error = pool(configuration.clone(), 3).await.unwrap_err();
    assert!(
        matches!(error, UdpEndpointError::PortsExhausted { .. }),
        "{error}"
    );
    let mut ports = ports(&pool(configuration, 2).await.unwrap());
    ports.sort_unstable();
    assert_eq!(ports, [first, first + 1]);
}

#[tokio::test]
async fn a_taken_port_is_named_and_the_others_are_free_again() {
    let first = free_neighbours(3);
    let held = StdSocket::bind((Ipv4Addr::LOCALHOST, first + 1)).unwrap();
    let taken = held.local_addr().unwrap();
    let error = pool(loopback(first), 3).await.unwrap_err();
    assert!(
        matches!(error, UdpEndpointError::Bind { address, .. } if address == taken),
        "{error}"
    );
    StdSocket::bind((Ipv4Addr::LOCALHOST, first)).unwrap();
}

#[tokio::test]
async fn there_are_no_ports_after_the_last() {
    let error = pool(loopback(u16::MAX - 1), 3).await.unwrap_err();
    assert!(
        matches!(error, UdpEndpointError::PortsExhausted { first, last: u16::MAX, .. } if first == u16::MAX - 1),
        "{error}"
    );
}

#[tokio::test]
async fn an_endpoint_for_each_core() {
    let (supervisor, _) = Actor::spawn(None, Calm, ()).await.unwrap();
    let pool = UdpEndpointPool::spawn_per_core(loopback(0), supervisor.get_cell())
        .await
        .unwrap();
    let cores = thread::available_parallelism().unwrap().get();
    assert_eq!(pool.endpoints().len(), cores);
}

#[tokio::test]
async fn equals_take_turns() {
    let pool = of(3).await;
    let mut given: Vec<_> = (0..3)
        .map(|_| pool.endpoint().unwrap().local_addr().port())
        .collect();
    given.sort_unstable();
    let mut all = ports(&pool);
    all.sort_unstable();
    assert_eq!(given, all);
}

#[tokio::test]
async fn a_peer_comes_to_where_the_fewest_are() {
    let pool = of(3).await;
    let mut seats: Vec<_> = (0..6).map(|_| pool.seat().unwrap()).collect();
    assert_eq!(peers(&pool), [2, 2, 2]);
    let left = seats.pop().unwrap().local_addr();
    assert_eq!(pool.endpoint().unwrap().local_addr(), left);
    assert_eq!(pool.seat().unwrap().local_addr(), left);
    drop(seats);
    assert_eq!(peers(&pool), [0, 0, 0]);
}

#[tokio::test]
async fn peers_that_come_at_once_are_spread_evenly_too() {
    let pool = of(4).await;
    let seats = thread::scope(|scope| {
        let threads: Vec<_> = (0..8)
            .map(|_| scope.spawn(|| (0..500).map(|_| pool.seat().unwrap()).collect::<Vec<_>>()))
            .collect();
        threads
            .into_iter()
            .map(|thread| thread.join().unwrap())
            .collect::<Vec<_>>()
    });
    assert_eq!(peers(&pool), [1000; 4]);
    drop(seats);
}

#[tokio::test]
async fn one_endpoint_is_a_pool_that_counts_with_all_others_it_is_in() {
    let pool = of(2).await;
    let one = UdpEndpointPool::from(pool.endpoints()[0].clone());
    let _seats = [one.seat().unwrap(), one.seat().unwrap()];
    assert_eq!(peers(&pool), [2, 0]);
    let other = pool.endpoints()[1].local_addr();
    assert_eq!(pool.seat().unwrap().local_addr(), other);
}

#[tokio::test]
async fn a_dead_endpoint_is_never_given_out() {
    let pool = of(3).await;
    end(&pool.endpoints()[1]).await;
    let dead = pool.endpoints()[1].local_addr();
    let _seats: Vec<_> = (0..10).map(|_| pool.seat().unwrap()).collect();
    assert_eq!(peers(&pool), [5, 0, 5]);
    assert!((0..6).all(|_| pool.endpoint().unwrap().local_addr() != dead));
}

#[tokio::test]
async fn a_pool_of_dead_endpoints_says_so() {
    let pool = of(2).await;
    pool.stop();
    for endpoint in pool.endpoints() {
        endpoint.cell().wait(None).await.unwrap();
    }
    let refused = pool.seat().unwrap_err();
    assert!(matches!(refused, UdpEndpointError::Stopped), "{refused}");
    let refused = pool.endpoint().unwrap_err();
    assert!(matches!(refused, UdpEndpointError::Stopped), "{refused}");
}

#[tokio::test]
async fn a_pool_takes_as_many_peers_as_its_endpoints_may_have_and_counts_whom_it_refuses() {
    let limits = EndpointLimits::default().peers(2);
    let pool = pool(loopback(0).limits(limits), 2).await.unwrap();
    let seats: Vec<_> = (0..4).map(|_| pool.seat().unwrap()).collect();
    let full = |refused: Result<Seat, UdpEndpointError>| {
        matches!(refused, Err(UdpEndpointError::Full { limit: 2 }))
    };
    assert!(full(pool.seat()) && full(pool.seat()));
    let mut refused = 0;
    for endpoint in pool.endpoints() {
        refused += endpoint.statistics().await.unwrap().peers_refused;
    }
    assert_eq!(refused, 2);
    drop(seats);
    assert!(pool.seat().is_ok());
}
