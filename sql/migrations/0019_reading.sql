-- SPDX-License-Identifier: Apache-2.0
-- Series are read without being planned anew each time: of a plan for values that are known the planner
-- looks at every leaf and each start of a window, which took half of a day's series. These functions keep
-- one plan for all values, which leaves are cut out of when it runs; leaves that come and go make it anew.
-- enable_seqscan: a plan made while a leaf had a few rows must do when it is full.

-- The chunks of a process in the windows that begin at 'starts', which are in [lo, hi).
CREATE FUNCTION mh_chunks(host int4, proc int8, starts timestamptz[], lo timestamptz, hi timestamptz)
RETURNS TABLE (t0 timestamptz, codec int2, d bytea)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 48
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT c.t0, c.codec, c.d
      FROM chunk AS c
     WHERE c.t0 = ANY (starts) AND c.t0 >= lo AND c.t0 < hi AND c.host_id = host AND c.proc_id = proc
     ORDER BY c.t0, c.part;
END $$;

-- The same of the host itself (kind 1), a cgroup (2) or an interpreter (3).
CREATE FUNCTION mh_host_chunks(host int4, of_kind int2, obj int8, starts timestamptz[], lo timestamptz,
                               hi timestamptz)
RETURNS TABLE (t0 timestamptz, codec int2, d bytea)
LANGUAGE plpgsql STABLE STRICT PARALLEL SAFE ROWS 48
SET plan_cache_mode = force_generic_plan SET enable_seqscan = off AS $$
BEGIN
    RETURN QUERY
    SELECT c.t0, c.codec, c.d
      FROM host_chunk AS c
     WHERE c.t0 = ANY (starts) AND c.t0 >= lo AND c.t0 < hi AND c.host_id = host AND c.kind = of_kind
       AND c.obj_id = obj
     ORDER BY c.t0, c.part;
END $$;
