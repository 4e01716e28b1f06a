-- SPDX-License-Identifier: Apache-2.0
-- What a process is within its service and how it ended, memory cgroups, kills, the host's posture.

ALTER TABLE process
    ADD container   text NOT NULL DEFAULT '',   -- name or short id
    ADD role        text NOT NULL DEFAULT '',   -- master, worker, ''
    ADD slot        int4 NOT NULL DEFAULT 0,    -- of a worker, from 1; 0 = none
    ADD cause       text,                       -- of its end: KILL_CAUSE_LIST's words
    ADD confidence  text,                       -- guess, likely, certain
    ADD exit_code   int4,
    ADD exit_signal int4,
    ADD verdict     text;                       -- of its end: one sentence

CREATE TABLE cgroup (
    host_id    int4 NOT NULL,
    cgroup_id  int8 NOT NULL,           -- proto/identity.h: of its path
    path       text NOT NULL,
    version    int2 NOT NULL,           -- 1 or 2
    name       text NOT NULL,           -- of the container or unit
    runtime    text NOT NULL,
    image      text NOT NULL,
    limited_by text NOT NULL,           -- path of the cgroup whose limit holds; '' = the host's memory
    first_seen timestamptz NOT NULL,
    last_seen  timestamptz,             -- set when it goes
    PRIMARY KEY (host_id, cgroup_id)
);
CREATE INDEX cgroup_gone ON cgroup (last_seen) WHERE last_seen IS NOT NULL;

-- Few and precious, so in one table: kept as long as what is kept longest.
CREATE TABLE oom_kill (
    host_id      int4 NOT NULL,
    kill_id      int8 NOT NULL,         -- proto/identity.h: of its place in the kernel's log
    ts           timestamptz NOT NULL,
    cause        text NOT NULL,         -- KILL_CAUSE_LIST's words
    confidence   text NOT NULL,
    oom          bool NOT NULL,         -- a killer acted because memory was short
    complete     bool NOT NULL,         -- the kernel's report was seen whole
    replayed     bool NOT NULL,         -- found in the log after the fact: no flight ring
    proc_id      int8,                  -- of the victim, as the six below
    pid          int4,
    comm         text NOT NULL,
    service      text NOT NULL,
    container    text NOT NULL,
    rss          int8,                  -- bytes
    limit_cgroup text NOT NULL,         -- '' = the host
    limit_owner  text NOT NULL,
    limit_bytes  int8,
    verdict      text NOT NULL,
    doc          jsonb NOT NULL,        -- the dossier (docs/API.md)
    received     timestamptz NOT NULL DEFAULT now(),
    PRIMARY KEY (host_id, kill_id)
);
CREATE INDEX oom_kill_ts ON oom_kill (ts DESC, host_id, kill_id);
CREATE INDEX oom_kill_service ON oom_kill (host_id, service, ts DESC);

CREATE TABLE posture (
    host_id int4 NOT NULL,
    ts      timestamptz NOT NULL,
    doc     jsonb NOT NULL,             -- array of {code, severity, text, fix}
    PRIMARY KEY (host_id, ts)
);

CREATE INDEX alert_host ON alert (host_id, opened DESC);

-- A time as REST writes it.
CREATE FUNCTION mh_time(t timestamptz) RETURNS text
LANGUAGE sql STABLE STRICT PARALLEL SAFE AS $$
    SELECT to_char(t AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.MS"Z"')
$$;
