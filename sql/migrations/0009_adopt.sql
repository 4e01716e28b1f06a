-- SPDX-License-Identifier: Apache-2.0
-- What a collector that is gone for good received is sealed by the one that leads (docs/adr/0021).

-- All that it received up to then is in chunks. NULL = never looked after by another.
ALTER TABLE collector ADD COLUMN adopted timestamptz;

-- As before, and a seal of our uuid that is under way on the server is waited for: its sender may be
-- dead and its COMMIT not. Seals hold the row FOR KEY SHARE, which signs of life do not wait for.
CREATE OR REPLACE FUNCTION mh_collector_join(who uuid, process uuid, called text) RETURNS int2
LANGUAGE plpgsql AS $$
DECLARE
    id int2;
BEGIN
    LOCK TABLE collector IN SHARE ROW EXCLUSIVE MODE;
    PERFORM FROM collector WHERE uuid = who FOR UPDATE;
    UPDATE collector SET boot = process, name = called, started = now(), seen = now()
     WHERE uuid = who RETURNING collector_id INTO id;
    IF NOT FOUND THEN
        INSERT INTO collector (collector_id, uuid, boot, name)
        SELECT coalesce(max(collector_id) + 1, 0), who, process, called FROM collector
        RETURNING collector_id INTO id;
    END IF;
    IF id > 0 THEN
        CREATE INDEX IF NOT EXISTS inbox_writer ON inbox (writer, rcv);
    END IF;
    RETURN id;
END $$;

-- Takes a collector that gave no sign for so long for dead: from now on its process, should it wake
-- up, seals nothing and ends at its next sign of life. false: it came back, or we do not lead.
CREATE FUNCTION mh_collector_adopt(id int2, process uuid, silent interval, f int8) RETURNS bool
LANGUAGE plpgsql AS $$
BEGIN
    IF NOT mh_fenced(f) THEN
        RETURN false;
    END IF;
    PERFORM FROM collector WHERE collector_id = id FOR UPDATE;
    UPDATE collector SET boot = process
     WHERE collector_id = id AND seen < clock_timestamp() - silent;
    RETURN FOUND;
END $$;
