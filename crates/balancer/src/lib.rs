//! A TCP balancer that sends only to healthy targets and drains those that leave.
