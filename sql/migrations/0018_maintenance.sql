-- memherd schema 18: maintenance that an operator declares over the fleet or a part of it: nothing is done there
-- meanwhile. What covers a process is judged here, in one place, for what is asked for and for what waits to be sent.

CREATE TABLE maintenance (
    maintenance_id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    host        text NOT NULL,          -- a host's id, or a glob (* and ?) of names
    service     text NOT NULL,          -- a glob of services; '' = the whole host
    starts      timestamptz NOT NULL,
    until       timestamptz NOT NULL,
    reason      text NOT NULL,
    created     timestamptz NOT NULL,
    created_by  text NOT NULL,
    ended       timestamptz,            -- by hand, before its time
    ended_by    text,
    CHECK (until > starts AND until <= starts + interval '30 days')
);
CREATE INDEX maintenance_until ON maintenance (until) WHERE ended IS NULL;

-- A glob of * and ?, as LIKE takes it.
CREATE FUNCTION mh_like(glob text) RETURNS text LANGUAGE sql IMMUTABLE PARALLEL SAFE AS $$
    SELECT translate(regexp_replace(glob, '([\\%_])', '\\\1', 'g'), '*?', '%_')
$$;

-- What covers a process at a time: the one that lasts longest, or none. Of no process (0) is what is done to the
-- whole host: that is covered where any part of the host is. So is a process of which it is not known what
-- service it is of (NULL).
CREATE FUNCTION mh_maintenance(on_host int4, process int8, of_service text, at timestamptz)
RETURNS TABLE (maintenance_id int8, until timestamptz, created_by text, reason text)
LANGUAGE sql STABLE AS $$
    SELECT m.maintenance_id, m.until, m.created_by, m.reason
      FROM maintenance AS m
     WHERE m.ended IS NULL AND m.starts <= at AND m.until > at
       AND (m.host = on_host::text
            OR (SELECT h.name FROM host AS h WHERE h.host_id = on_host) LIKE mh_like(m.host))
       AND (m.service = '' OR process = 0 OR of_service IS NULL OR of_service LIKE mh_like(m.service))
     ORDER BY m.until DESC
     LIMIT 1
$$;

-- Whether a command has to wait: it would do something where nothing is to be done.
CREATE FUNCTION mh_held_back(on_host int4, process int8, dry_run bool, at timestamptz) RETURNS bool
LANGUAGE sql STABLE AS $$
    SELECT NOT dry_run
       AND EXISTS (SELECT FROM mh_maintenance(on_host, process, (SELECT p.service FROM process AS p
                                               WHERE p.host_id = on_host AND p.proc_id = process), at))
$$;

INSERT INTO readable VALUES ('maintenance');
