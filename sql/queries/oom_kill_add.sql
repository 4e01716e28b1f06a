-- Kills, each once by its id, with one event each. Told again it replaces what is there only where it
-- is better known now: its report was read whole, or with the flight ring of that moment.
WITH v AS (
    SELECT DISTINCT ON (host_id, kill_id) *
      FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::int8[], $5::int8[], $6::text[],
                  $7::text[], $8::int4[], $9::int4[], $10::int4[], $11::int8[], $12::int4[],
                  $13::text[], $14::text[], $15::text[], $16::int8[], $17::text[], $18::text[],
                  $19::int8[], $20::text[], $21::text[], $22::text[])
           AS u(host_id, kill_id, ts, epoch, seq, cause, confidence, oom, complete, replayed,
                proc_id, pid, comm, service, container, rss, limit_cgroup, limit_owner,
                limit_bytes, verdict, doc, event)
     ORDER BY host_id, kill_id, complete DESC, replayed
), told AS (
    INSERT INTO oom_kill AS o (host_id, kill_id, ts, cause, confidence, oom, complete, replayed,
                               proc_id, pid, comm, service, container, rss, limit_cgroup,
                               limit_owner, limit_bytes, verdict, doc)
    SELECT host_id, kill_id, ts, cause, confidence, oom <> 0, complete <> 0, replayed <> 0,
           nullif(proc_id, 0), nullif(pid, 0), comm, service, container, nullif(rss, -1),
           limit_cgroup, limit_owner, nullif(limit_bytes, -1), verdict, doc::jsonb
      FROM v
    ON CONFLICT (host_id, kill_id) DO UPDATE
       SET ts = excluded.ts, cause = excluded.cause, confidence = excluded.confidence,
           oom = excluded.oom, complete = excluded.complete, replayed = excluded.replayed,
           proc_id = excluded.proc_id, pid = excluded.pid, comm = excluded.comm,
           service = excluded.service, container = excluded.container, rss = excluded.rss,
           limit_cgroup = excluded.limit_cgroup, limit_owner = excluded.limit_owner,
           limit_bytes = excluded.limit_bytes, verdict = excluded.verdict, doc = excluded.doc
     WHERE (excluded.complete, NOT excluded.replayed) > (o.complete, NOT o.replayed)
    RETURNING host_id, kill_id, (xmax = 0) AS fresh
)
INSERT INTO event (ts, host_id, epoch, seq, idx, kind, proc_id, doc)
SELECT v.ts, v.host_id, v.epoch, v.seq, 0, 'oom_kill', nullif(v.proc_id, 0), v.event::jsonb
  FROM v
  JOIN told USING (host_id, kill_id)
 WHERE told.fresh
