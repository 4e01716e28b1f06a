-- How processes ended. Of one that is not stored (its samples come later, or it lived between two of
-- them) a row is made.
INSERT INTO process AS p (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe,
                          cgroup, service, container, first_seen, last_seen, cause, confidence,
                          exit_code, exit_signal, verdict)
SELECT DISTINCT ON (host_id, proc_id)
       host_id, proc_id, boot_id::uuid, pid, start_ticks, 0, -1, comm, '', '', '', service,
       container, t, t, cause, nullif(confidence, ''), nullif(exit_code, -1),
       nullif(exit_signal, 0), verdict
  FROM unnest($1::int4[], $2::int8[], $3::text[], $4::int4[], $5::int8[], $6::timestamptz[],
              $7::text[], $8::text[], $9::int4[], $10::int4[], $11::text[], $12::text[],
              $13::text[], $14::text[])
       WITH ORDINALITY
       AS v(host_id, proc_id, boot_id, pid, start_ticks, t, cause, confidence, exit_code,
            exit_signal, verdict, comm, service, container, n)
 ORDER BY host_id, proc_id, n DESC
ON CONFLICT (host_id, proc_id) DO UPDATE
   SET cause = excluded.cause, confidence = excluded.confidence, exit_code = excluded.exit_code,
       exit_signal = excluded.exit_signal, verdict = excluded.verdict,
       last_seen = coalesce(p.last_seen, excluded.last_seen)
