//! Counters shared by all workers; relaxed, since they are only ever read for reports.

use std::sync::atomic::{AtomicU64, Ordering};

use http::StatusCode;

use crate::report::{LoadBalancerCounters, ResponseCounters, TargetGroupCounters};

/// A number that only workers change.
#[derive(Debug, Default)]
pub(crate) struct Count(AtomicU64);

impl Count {
    pub(crate) fn add(&self, amount: u64) {
        self.0.fetch_add(amount, Ordering::Relaxed);
    }

    pub(crate) fn subtract(&self, amount: u64) {
        self.0.fetch_sub(amount, Ordering::Relaxed);
    }

    pub(crate) fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// See [`LoadBalancerCounters`].
#[derive(Debug, Default)]
pub(crate) struct LoadBalancerCounts {
    pub requests: Count,
    pub new_connections: Count,
    pub active_connections: Count,
    pub elb_3xx: Count,
    pub elb_4xx: Count,
    pub elb_5xx: Count,
    pub fixed_responses: Count,
    pub redirects: Count,
    pub desync_refusals: Count,
    pub tls_negotiation_errors: Count,
    pub rejected_connections: Count,
    pub processed_bytes: Count,
    pub auth_successes: Count,
    pub auth_failures: Count,
    pub auth_errors: Count,
    pub auth_refresh_successes: Count,
    pub auth_claims_too_large: Count,
    pub auth_latency_ms: Count,
    pub jwt_successes: Count,
    pub jwt_failures: Count,
}

impl LoadBalancerCounts {
    /// Counts a response the load balancer made itself.
    pub(crate) fn own_response(&self, status: StatusCode) {
        match status.as_u16() {
            300..400 => self.elb_3xx.add(1),
            400..500 => self.elb_4xx.add(1),
            500.. => self.elb_5xx.add(1),
            _ => {}
        }
    }

    pub(crate) fn read(&self, arn: &str) -> LoadBalancerCounters {
        LoadBalancerCounters {
            arn: arn.to_owned(),
            requests: self.requests.get(),
            new_connections: self.new_connections.get(),
            active_connections: self.active_connections.get(),
            elb_3xx: self.elb_3xx.get(),
            elb_4xx: self.elb_4xx.get(),
            elb_5xx: self.elb_5xx.get(),
            fixed_responses: self.fixed_responses.get(),
            redirects: self.redirects.get(),
            desync_refusals: self.desync_refusals.get(),
            tls_negotiation_errors: self.tls_negotiation_errors.get(),
            rejected_connections: self.rejected_connections.get(),
            processed_bytes: self.processed_bytes.get(),
            auth_successes: self.auth_successes.get(),
            auth_failures: self.auth_failures.get(),
            auth_errors: self.auth_errors.get(),
            auth_refresh_successes: self.auth_refresh_successes.get(),
            auth_claims_too_large: self.auth_claims_too_large.get(),
            auth_latency_ms: self.auth_latency_ms.get(),
            jwt_successes: self.jwt_successes.get(),
            jwt_failures: self.jwt_failures.get(),
        }
    }
}

/// See [`ResponseCounters`].
#[derive(Debug, Default)]
pub(crate) struct ResponseCounts {
    pub requests: Count,
    pub connection_errors: Count,
    classes: [Count; 4],
    response_ms: Count,
}

impl ResponseCounts {
    /// Counts a target's response, and the milliseconds it took to begin.
    pub(crate) fn response(&self, status: StatusCode, took_ms: u64) {
        if let Some(class) = (status.as_u16() / 100).checked_sub(2).and_then(|class| self.classes.get(class as usize)) {
            class.add(1);
        }
        if took_ms > 0 {
            self.response_ms.add(took_ms);
        }
    }

    pub(crate) fn read(&self) -> ResponseCounters {
        let [target_2xx, target_3xx, target_4xx, target_5xx] =
            [0, 1, 2, 3].map(|class: usize| self.classes[class].get());
        ResponseCounters {
            requests: self.requests.get(),
            target_2xx,
            target_3xx,
            target_4xx,
            target_5xx,
            connection_errors: self.connection_errors.get(),
            response_ms: self.response_ms.get(),
        }
    }

    pub(crate) fn read_group(&self, arn: &str) -> TargetGroupCounters {
        TargetGroupCounters { arn: arn.to_owned(), counters: self.read() }
    }
}
