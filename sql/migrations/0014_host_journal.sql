-- SPDX-License-Identifier: Apache-2.0
-- What each host's journal of actions was told to say: runs of its records, which are numbered and chained
-- by their hashes (agent/act/journal_record.h). Runs that do not fit each other show that it was changed.

CREATE TABLE host_journal (
    host_id int4 NOT NULL,
    chain   int4 NOT NULL,              -- from 1; one more each time that it did not fit
    first   int8 NOT NULL,              -- numbers of the run's records
    last    int8 NOT NULL,
    before  bytea NOT NULL,             -- 16 bytes of the hash of the record before the run
    head    bytea NOT NULL,             -- and of its last
    cmd_id  uuid NOT NULL,              -- what it tells of
    told    timestamptz NOT NULL,
    why     text NOT NULL DEFAULT '',   -- what did not fit, of the run that began a new chain
    PRIMARY KEY (host_id, chain, last)
);

-- Takes one run: '' when it fits what is known, a sentence when it does not, NULL when it was known.
-- The caller holds the audit table's lock. An alert says that it did not; a day later the first run that
-- fits ends it.
CREATE FUNCTION mh_journal_told(host int4, run_last int8, records int4, run_before bytea, run_head bytea, id uuid,
                                at timestamptz) RETURNS text
LANGUAGE plpgsql AS $$
DECLARE
    run_first int8 := run_last - records + 1;
    newest int4;
    other host_journal;
    why text := '';
BEGIN
    IF EXISTS (SELECT FROM host_journal AS j WHERE j.host_id = host AND j.last = run_last AND j.head = run_head) THEN
        RETURN NULL;
    END IF;
    SELECT coalesce(max(j.chain), 1) INTO newest FROM host_journal AS j WHERE j.host_id = host;
    SELECT * INTO other FROM host_journal AS j
     WHERE j.host_id = host AND j.chain = newest AND j.last >= run_first - 1 ORDER BY j.last LIMIT 1;
    IF other.last = run_first - 1 THEN
        IF other.head <> run_before THEN
            why := format('record %s does not follow record %s as it was told on %s', run_first, other.last,
                          to_char(other.told AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
        END IF;
        SELECT * INTO other FROM host_journal AS j
         WHERE j.host_id = host AND j.chain = newest AND j.last >= run_first ORDER BY j.last LIMIT 1;
    END IF;
    IF why = '' AND other.first <= run_last AND other.last >= run_first THEN
        why := format('it went back: record %s is another one than was told on %s', greatest(other.first, run_first),
                      to_char(other.told AT TIME ZONE 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS"Z"'));
    ELSIF why = '' AND other.first = run_last + 1 AND other.before <> run_head THEN
        why := format('record %s, told before, does not follow record %s', other.first, run_last);
    END IF;
    INSERT INTO host_journal (host_id, chain, first, last, before, head, cmd_id, told, why)
    VALUES (host, newest + (why <> '')::int4, run_first, run_last, run_before, run_head, id, at, why);
    IF why <> '' THEN
        INSERT INTO alert (key, rule, host_id, subject, service, level, state, opened, first_value, peak_value,
                           last_value, title, doc)
        SELECT format('journal of host|%s', host), 'journal', host, 'host', '', 'mail', 'firing', at, run_last, run_last,
               run_last, format('the journal of actions on %s was changed', h.name),
               jsonb_build_object('why', why, 'rule_text', '', 'explain', '', 'culprit', NULL, 'actions', '[]'::jsonb)
          FROM (SELECT coalesce((SELECT x.name FROM host AS x WHERE x.host_id = host), host::text) AS name) AS h
        ON CONFLICT (key) WHERE state = 'firing' DO UPDATE SET last_value = excluded.last_value, doc = excluded.doc;
    ELSE
        UPDATE alert AS a SET state = 'resolved', resolved = at, resolved_value = a.last_value
         WHERE a.key = format('journal of host|%s', host) AND a.state = 'firing' AND a.opened < at - interval '1 day';
    END IF;
    RETURN why;
END $$;
