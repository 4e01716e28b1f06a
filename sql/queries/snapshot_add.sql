-- SPDX-License-Identifier: Apache-2.0
INSERT INTO snapshot (ts, host_id, snapshot_id, proc_id, pid, start_ticks, service, comm, kind, reason,
                      cmd_id, subject, totals, rows, note)
SELECT v.ts, v.host_id, v.snapshot_id, v.proc_id, v.pid, v.start_ticks, v.service, v.comm, v.kind,
       v.reason, nullif(v.cmd_id, '00000000-0000-0000-0000-000000000000')::uuid, v.subject,
       v.totals::jsonb, v.rows::jsonb, v.note
  FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::int8[], $5::int4[], $6::int8[],
              $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::text[],
              $14::text[], $15::text[])
       AS v(host_id, snapshot_id, ts, proc_id, pid, start_ticks, service, comm, kind, reason, cmd_id,
            subject, totals, rows, note)
ON CONFLICT DO NOTHING
