-- A cgroup that is there, as it is told now.
INSERT INTO cgroup AS g (host_id, cgroup_id, path, version, name, runtime, image, limited_by,
                         first_seen)
SELECT DISTINCT ON (host_id, cgroup_id)
       host_id, cgroup_id, path, version::int2, name, runtime, image, limited_by, t
  FROM unnest($1::int4[], $2::int8[], $3::text[], $4::int4[], $5::text[], $6::text[], $7::text[],
              $8::text[], $9::timestamptz[])
       WITH ORDINALITY
       AS v(host_id, cgroup_id, path, version, name, runtime, image, limited_by, t, n)
 ORDER BY host_id, cgroup_id, n DESC
ON CONFLICT (host_id, cgroup_id) DO UPDATE
   SET version = excluded.version, name = excluded.name, runtime = excluded.runtime,
       image = excluded.image, limited_by = excluded.limited_by, last_seen = NULL
 WHERE (g.version, g.name, g.runtime, g.image, g.limited_by) IS DISTINCT FROM
       (excluded.version, excluded.name, excluded.runtime, excluded.image, excluded.limited_by)
    OR g.last_seen IS NOT NULL
