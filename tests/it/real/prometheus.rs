//! The dashboards and rules of `dashboards/` against a real Prometheus that scrapes a real proxy.

mod incidents;
mod panels;
mod papers;
mod scraper;
mod traffic;
mod walk;
