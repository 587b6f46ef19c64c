//! Workers over streams without a network: what may come at any moment, in any order.

mod connections;
mod directed;
mod drain;
mod latency;
mod limits;
mod random;
mod rates;
mod scene;
mod slow;
mod together;
mod workers;
