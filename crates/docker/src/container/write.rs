//! A container becomes leaves in normal form.

use bollard::models::HealthConfig;
use stratos_engine::desired::document::{DocumentBuilder, Leaf};
use stratos_engine::desired::quantity::Duration;

use super::{Container, VolumeLeaf, leaves, mount};

pub(crate) fn container(container: &Container, volume: &VolumeLeaf<'_>, out: &mut DocumentBuilder) {
    let Container {
        image,
        entrypoint,
        command,
        environment,
        healthcheck,
        labels,
        mounts,
        hostname,
        user,
        working_dir,
        stop_signal,
        stop_grace_period,
        init,
        read_only,
        tty,
        stdin_open,
        cap_add,
        cap_drop,
        group_add,
        extra_hosts,
        dns,
        dns_search,
        dns_opt,
        sysctls,
        ulimits,
        log_driver,
        log_options,
    } = container;
    if let Some(image) = image {
        out.put(["image"], Leaf::Image(Box::new(image.clone())));
    }
    leaves::list(out, &["entrypoint"], entrypoint);
    leaves::list(out, &["command"], command);
    for (name, value) in environment {
        let leaf = value.as_ref().map_or(Leaf::Bool(false), |value| Leaf::Text(value.as_str().into()));
        out.put(["environment", name.as_str()], leaf);
    }
    if let Some(check) = healthcheck {
        write_healthcheck(check, out);
    }
    for (table, entries) in [("labels", labels), ("sysctls", sysctls)] {
        for (name, value) in entries {
            out.text([table, name.as_str()], value);
        }
    }
    mounts.iter().for_each(|one| mount::write(one, volume, out));
    let words = [("hostname", hostname), ("user", user), ("working_dir", working_dir), ("stop_signal", stop_signal)]
        .map(|(name, w)| (name, w.as_deref()));
    words.into_iter().for_each(|(name, word)| leaves::text(out, &[name], word));
    if let Some(time) = stop_grace_period {
        out.put(["stop_grace_period"], Leaf::Duration(*time));
    }
    for (name, on) in [("init", *init == Some(true)), ("read_only", *read_only), ("tty", *tty), ("stdin_open", *stdin_open)] {
        leaves::flag(out, &[name], on);
    }
    let sets = [("cap_add", cap_add), ("cap_drop", cap_drop), ("group_add", group_add), ("extra_hosts", extra_hosts), ("dns_opt", dns_opt)];
    sets.into_iter().for_each(|(name, members)| leaves::set(out, &[name], members));
    leaves::list(out, &["dns"], dns);
    leaves::list(out, &["dns_search"], dns_search);
    for (name, (soft, hard)) in ulimits {
        out.integer(["ulimits", name, "soft"], *soft);
        out.integer(["ulimits", name, "hard"], *hard);
    }
    leaves::text(out, &["logging", "driver"], log_driver.as_deref());
    for (name, value) in log_options {
        out.text(["logging", "options", name], value);
    }
}

fn write_healthcheck(check: &HealthConfig, out: &mut DocumentBuilder) {
    let HealthConfig { test, interval, timeout, retries, start_period, start_interval } = check;
    leaves::list(out, &["healthcheck", "test"], test.as_deref().unwrap_or_default());
    let times = [("interval", interval), ("timeout", timeout), ("start_period", start_period), ("start_interval", start_interval)];
    times.into_iter().for_each(|(name, time)| leaves::nanoseconds(out, &["healthcheck", name], *time, Duration(0)));
    leaves::integer(out, &["healthcheck", "retries"], *retries, 0);
}
