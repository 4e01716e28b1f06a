-- SPDX-License-Identifier: Apache-2.0
-- Several collectors on one database (docs/adr/0018).

-- Who serves. A collector is known by the uuid in its state_dir; boot names its present process, so
-- that an older one with the same uuid finds out that it was replaced.
CREATE TABLE collector (
    collector_id int2 PRIMARY KEY,      -- 0 = the first: batches from before there were several are its own
    uuid    uuid NOT NULL UNIQUE,
    boot    uuid NOT NULL,
    name    text NOT NULL,
    started timestamptz NOT NULL DEFAULT now(),
    seen    timestamptz NOT NULL DEFAULT now(),
    oldest  timestamptz                 -- receive time of its oldest batch that is in no chunk; NULL = none
);

-- Who received a batch. Receive times of one collector rise in the order of their commits, so that
-- (writer, rcv) is a place to read on from; those of two collectors say nothing about each other.
ALTER TABLE inbox ADD COLUMN writer int2 NOT NULL DEFAULT 0;

-- compaction.shard is the writer whose batches were sealed; -1 counts the seals of the window over all
-- writers, which numbers the parts.
INSERT INTO compaction (t0, shard, done, seals)
SELECT t0, -1, max(done), sum(seals) FROM compaction GROUP BY t0;

ALTER TABLE host ADD COLUMN holder int2;  -- the collector that the agent is connected to
ALTER TABLE alert ADD COLUMN fence int8;  -- of the leader that wrote the row last
ALTER TABLE mail ADD COLUMN fence int8;   -- of the leader that wrote or sent it
ALTER TABLE command ADD COLUMN sent_by int2; -- the collector that sent it

INSERT INTO lease (name, holder, fence, expires) VALUES ('leader', '', 0, '-infinity')
ON CONFLICT DO NOTHING;

-- May the leader with this number still write? The row stays locked until the transaction ends, so
-- that nobody takes the lease over in between. NULL = a program that knows no leader (tests, tools).
CREATE FUNCTION mh_fenced(f int8) RETURNS bool
LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    IF f IS NULL THEN
        RETURN true;
    END IF;
    PERFORM FROM lease WHERE name = 'leader' AND fence = f FOR SHARE;
    RETURN FOUND;
END $$;

-- The number of this collector. With the second one the inbox gets an index, by which collectors read
-- what the others received; one that is alone does without.
CREATE FUNCTION mh_collector_join(who uuid, process uuid, called text) RETURNS int2
LANGUAGE plpgsql AS $$
DECLARE
    id int2;
BEGIN
    LOCK TABLE collector IN SHARE ROW EXCLUSIVE MODE;
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
