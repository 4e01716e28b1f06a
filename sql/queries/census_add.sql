-- SPDX-License-Identifier: Apache-2.0
-- Censuses; their types are an array of [name, count, bytes], and the names have numbers already.
INSERT INTO census (ts, host_id, census_id, proc_id, pid, start_ticks, service, comm, method, reason,
                    cmd_id, version, interpreters, pause_us, walk_us, objects, bytes, types_total,
                    error, types, counts, sizes, parts, note)
SELECT v.ts, v.host_id, v.census_id, v.proc_id, v.pid, v.start_ticks, v.service, v.comm, v.method,
       v.reason, nullif(v.cmd_id, '00000000-0000-0000-0000-000000000000')::uuid, v.version,
       v.interpreters, v.pause_us, v.walk_us, v.objects, v.bytes, v.types_total, v.error,
       coalesce(t.types, '{}'), coalesce(t.counts, '{}'), coalesce(t.sizes, '{}'), v.parts::jsonb,
       v.note
  FROM unnest($1::int4[], $2::int8[], $3::timestamptz[], $4::int8[], $5::int4[], $6::int8[],
              $7::text[], $8::text[], $9::text[], $10::text[], $11::text[], $12::int8[], $13::int4[],
              $14::int8[], $15::int8[], $16::int8[], $17::int8[], $18::int4[], $19::int4[],
              $20::text[], $21::text[], $22::text[])
       AS v(host_id, census_id, ts, proc_id, pid, start_ticks, service, comm, method, reason, cmd_id,
            version, interpreters, pause_us, walk_us, objects, bytes, types_total, error, types, parts,
            note),
       LATERAL (SELECT array_agg(n.type_id ORDER BY e.i) AS types,
                       array_agg((e.x->>1)::int8 ORDER BY e.i) AS counts,
                       array_agg((e.x->>2)::int8 ORDER BY e.i) AS sizes
                  FROM jsonb_array_elements(v.types::jsonb) WITH ORDINALITY AS e(x, i)
                  JOIN census_type n ON n.name = e.x->>0) AS t
ON CONFLICT DO NOTHING
