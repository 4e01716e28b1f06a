-- Who a process is. Told again (another connection, an exec under the same pid): the last one holds.
-- Its end may have been told before: process_death.sql made the row then.
INSERT INTO process AS p (host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline,
                          exe, cgroup, service, first_seen, container, role, slot)
SELECT DISTINCT ON (host_id, proc_id)
       host_id, proc_id, boot_id::uuid, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup,
       service, first_seen, container, role, slot
  FROM unnest($1::int4[], $2::int8[], $3::text[], $4::int4[], $5::int8[], $6::int4[], $7::int8[],
              $8::text[], $9::text[], $10::text[], $11::text[], $12::text[], $13::timestamptz[],
              $14::text[], $15::text[], $16::int4[])
       WITH ORDINALITY
       AS v(host_id, proc_id, boot_id, pid, start_ticks, ppid, uid, comm, cmdline, exe, cgroup,
            service, first_seen, container, role, slot, n)
 ORDER BY host_id, proc_id, n DESC
ON CONFLICT (host_id, proc_id) DO UPDATE
   SET comm = excluded.comm, cmdline = excluded.cmdline, exe = excluded.exe,
       cgroup = excluded.cgroup, service = excluded.service, ppid = excluded.ppid,
       uid = excluded.uid, container = excluded.container, role = excluded.role,
       slot = excluded.slot, first_seen = least(p.first_seen, excluded.first_seen)
 WHERE (p.comm, p.cmdline, p.exe, p.cgroup, p.service, p.ppid, p.uid, p.container, p.role, p.slot)
       IS DISTINCT FROM (excluded.comm, excluded.cmdline, excluded.exe, excluded.cgroup,
                         excluded.service, excluded.ppid, excluded.uid, excluded.container,
                         excluded.role, excluded.slot)
