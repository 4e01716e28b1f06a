-- memherd schema 16: what Python that was run in a process found there: lines that leak (tracemalloc),
-- who holds objects (referrers), which containers hold most (sizes). A row a snapshot; its rows are
-- some dozens of texts that are hardly ever the same twice, so they stay in it, compressed by TOAST.

CREATE TABLE snapshot (
    ts          timestamptz NOT NULL,
    host_id     int4 NOT NULL,
    snapshot_id int8 NOT NULL,          -- proto/identity.h: of its process and time
    proc_id     int8 NOT NULL,          -- may be stored before its process is, or without it
    pid         int4 NOT NULL,
    start_ticks int8 NOT NULL,
    service     text NOT NULL,          -- as known when it came; '' = not known then
    comm        text NOT NULL,
    kind        text NOT NULL,          -- proto/snapshot.c's words
    reason      text NOT NULL,          -- CENSUS_REASON_LIST's words
    cmd_id      uuid,                   -- of the command that asked
    subject     text NOT NULL,          -- the type that was asked about; '' = the whole process
    totals      jsonb NOT NULL,         -- an object, by the kind's names
    rows        jsonb NOT NULL,         -- an array of such, the largest first
    note        text NOT NULL,          -- where it was cut short
    PRIMARY KEY (ts, host_id, snapshot_id)
) PARTITION BY RANGE (ts);
CREATE INDEX snapshot_id ON snapshot (snapshot_id);
CREATE INDEX snapshot_process ON snapshot (host_id, proc_id, ts DESC);

CREATE VIEW snapshots AS
SELECT s.ts AS t, s.host_id, h.name AS host, s.snapshot_id, s.proc_id AS process, s.pid, s.service, s.comm,
       s.kind, s.reason, nullif(s.subject, '') AS subject, s.totals, s.rows, s.note
  FROM snapshot AS s JOIN host AS h USING (host_id);

INSERT INTO readable VALUES ('snapshot'), ('snapshots');
