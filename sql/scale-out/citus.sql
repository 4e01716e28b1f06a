-- SPDX-License-Identifier: Apache-2.0
--
-- Distributes the schema over the workers of a Citus cluster, by host. To be run by psql on the
-- coordinator, as the owner of the tables, while no collector runs:
--
--   psql -v ON_ERROR_STOP=1 -f citus.sql "$DATABASE"
--
-- Before it: the workers are registered (citus_add_node) and a memherd-collector has migrated the
-- schema. It may be run again: what is distributed stays so; after an upgrade of memherd run it
-- again, for the tables that are new.
--
-- What goes where
--   by_host     by host_id, in one co-location: all that grows with the fleet; a host's rows are
--               together
--   everywhere  a copy on each node: small, read beside the above and written seldom
--   here        on the coordinator: rows of the whole fleet that are locked, counted or chained
--
-- What was not tried: the script on a cluster. Debian has no package of the extension; the test
-- (tests/integration/test_citus.py) does it wherever one is installed, and elsewhere holds the keys and
-- the names of tables against the schema. An earlier schema of the same shape was distributed on
-- 13.2.2. Try it with a copy of your data.
--
-- What it does not do
--   * It makes no cluster, moves no shards and knows no replicas: that is Citus' and yours.
--   * DETACH PARTITION .. CONCURRENTLY, by which the collector drops what is old, is refused by Citus
--     for distributed tables: its retention fails there, with a line in the log a minute, and disks
--     fill. Drop old leaves yourself (DROP TABLE chunk_pYYYYMMDD, at a quiet time: it locks), never
--     one of inbox that compaction does not cover.
--   * LISTEN and advisory locks stay on the node that one is connected to. The collector uses none.
--   * Functions that read samples (series() and its like) run on the coordinator; they are not pushed
--     down.
--   * It does not make the collector faster on one machine: a commit over two workers is a
--     two-phase one.

DO $$
DECLARE
    t text;
    by_host constant text[] := ARRAY[
        'process', 'agent_stream', 'inbox', 'chunk', 'host_chunk', 'chunk_held', 'host_chunk_held',
        'rollup_window', 'rollup_1h', 'rollup_1d', 'event', 'gap', 'dead_letter', 'command', 'host_journal', 'cgroup',
        'oom_kill', 'posture', 'census', 'snapshot'];
    everywhere constant text[] := ARRAY['host', 'metric', 'census_type', 'compaction', 'rollup_day', 'maintenance'];
    -- alert: its key must be unique over the fleet; lease: locked in share mode by every leader's
    -- write; the others are small and of no host.
    here constant text[] := ARRAY[
        'alert', 'mail', 'audit', 'breaker', 'lease', 'counter', 'collector', 'meta', 'readable', 'api_token',
        'enroll_token'];
BEGIN
    IF NOT EXISTS (SELECT FROM pg_extension WHERE extname = 'citus') THEN
        RAISE EXCEPTION 'the extension citus is not in this database'
              USING HINT = 'CREATE EXTENSION citus; and citus_add_node() for each worker';
    END IF;
    IF to_regclass('public.host') IS NULL THEN
        RAISE EXCEPTION 'there is no schema of memherd here'
              USING HINT = 'memherd-collector migrate -c collector.conf';
    END IF;
    -- Nothing is left out: a table that a later version brings must be named above.
    SELECT string_agg(c.relname, ', ' ORDER BY c.relname) INTO t
      FROM pg_class AS c
     WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition
       AND NOT EXISTS (SELECT FROM pg_depend AS d WHERE d.objid = c.oid AND d.deptype = 'e')
       AND c.relname <> ALL (by_host || everywhere || here);
    IF t IS NOT NULL THEN
        RAISE EXCEPTION 'this script is older than the schema: it does not name %', t;
    END IF;
    FOREACH t IN ARRAY everywhere LOOP
        IF NOT EXISTS (SELECT FROM citus_tables WHERE table_name = t::regclass AND citus_table_type = 'reference') THEN
            PERFORM create_reference_table(t);
        END IF;
    END LOOP;
    FOREACH t IN ARRAY by_host LOOP
        IF NOT EXISTS (SELECT FROM citus_tables WHERE table_name = t::regclass AND citus_table_type = 'distributed') THEN
            PERFORM create_distributed_table(t, 'host_id', colocate_with =>
                    CASE WHEN t = by_host[1] THEN 'none' ELSE by_host[1] END);
        END IF;
    END LOOP;
END $$;
