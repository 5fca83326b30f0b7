"""TPC-H as a custodian would share it, and questions of its kind in words of our own.

Answers for rules of columns and for statements; the tables come from tpchgen-cli.
"""

# The rules that are not `keep`.
TABLES: dict[str, dict[str, str]] = {
    "customer": {
        "c_name": "{pseudonym: {method: hmac, domain: customer}}",
        "c_address": "drop",
        "c_phone": "{mask: {first: 2}}",
        "c_comment": "drop",
    },
    "lineitem": {"l_comment": "drop"},
    "nation": {},
    "orders": {"o_clerk": "{pseudonym: {method: hmac, domain: clerk}}"},
    "part": {},
    "partsupp": {},
    "region": {},
    "supplier": {"s_phone": "drop", "s_address": "mask"},
}

# Each with whether its order is total.
QUERIES: dict[str, tuple[str, bool]] = {
    "pricing": (
        """SELECT l_returnflag, l_linestatus, sum(l_quantity) AS quantity,
        sum(l_extendedprice * (1 - l_discount)) AS price, avg(l_discount) AS discount, count(*) AS n
        FROM lineitem WHERE l_shipdate <= DATE '1998-12-01' - INTERVAL '90 days'
        GROUP BY l_returnflag, l_linestatus ORDER BY l_returnflag, l_linestatus""",
        True,
    ),
    "cheapest supplier": (
        """SELECT s_name, n_name, p_partkey, ps_supplycost FROM part, supplier, partsupp, nation, region
        WHERE p_partkey = ps_partkey AND s_suppkey = ps_suppkey AND p_type LIKE '%BRASS'
        AND s_nationkey = n_nationkey AND n_regionkey = r_regionkey AND ps_supplycost = (
        SELECT min(i.ps_supplycost) FROM partsupp i WHERE i.ps_partkey = p_partkey)
        ORDER BY ps_supplycost DESC, s_name, p_partkey LIMIT 50""",
        True,
    ),
    "shipping priority": (
        """SELECT l_orderkey, sum(l_extendedprice * (1 - l_discount)) AS revenue, o_orderdate
        FROM customer, orders, lineitem WHERE c_mktsegment = 'BUILDING' AND c_custkey = o_custkey
        AND l_orderkey = o_orderkey AND o_orderdate < DATE '1995-03-15' AND l_shipdate > DATE '1995-03-15'
        GROUP BY l_orderkey, o_orderdate ORDER BY revenue DESC, o_orderdate, l_orderkey LIMIT 10""",
        True,
    ),
    "late orders": (
        """SELECT o_orderpriority, count(*) AS n FROM orders WHERE EXISTS (SELECT 1 FROM lineitem
        WHERE l_orderkey = o_orderkey AND l_commitdate < l_receiptdate)
        GROUP BY o_orderpriority ORDER BY o_orderpriority""",
        True,
    ),
    "local volume": (
        """SELECT n_name, sum(l_extendedprice * (1 - l_discount)) AS revenue
        FROM customer JOIN orders ON c_custkey = o_custkey JOIN lineitem ON l_orderkey = o_orderkey
        JOIN supplier ON l_suppkey = s_suppkey JOIN nation ON s_nationkey = n_nationkey
        JOIN region ON n_regionkey = r_regionkey
        WHERE r_name = 'ASIA' GROUP BY n_name ORDER BY revenue DESC, n_name""",
        True,
    ),
    "discounts": (
        """SELECT sum(l_extendedprice * l_discount) AS revenue FROM lineitem
        WHERE l_shipdate >= DATE '1994-01-01' AND l_shipdate < DATE '1995-01-01'
        AND l_discount BETWEEN 0.05 AND 0.07 AND l_quantity < 24""",
        True,
    ),
    "market share": (
        """SELECT extract(year FROM o_orderdate) AS y,
        sum(CASE WHEN n_name = 'BRAZIL' THEN l_extendedprice ELSE 0 END) AS brazil, count(*) AS n
        FROM lineitem JOIN orders ON l_orderkey = o_orderkey JOIN supplier ON s_suppkey = l_suppkey
        JOIN nation ON s_nationkey = n_nationkey GROUP BY 1 ORDER BY 1""",
        True,
    ),
    "customers by pseudonym": (
        """SELECT c_name, c_phone, sum(o_totalprice) AS total, max(o_clerk) AS clerk FROM customer
        JOIN orders ON c_custkey = o_custkey GROUP BY c_name, c_phone
        HAVING sum(o_totalprice) > 1000000 ORDER BY total DESC, c_name""",
        True,
    ),
    "modes and priority": (
        """SELECT l_shipmode, sum(CASE WHEN o_orderpriority IN ('1-URGENT', '2-HIGH') THEN 1 ELSE 0 END)
        AS high FROM orders JOIN lineitem ON o_orderkey = l_orderkey
        WHERE l_commitdate < l_receiptdate AND l_shipdate < l_commitdate
        GROUP BY l_shipmode ORDER BY l_shipmode""",
        True,
    ),
    "how many order how often": (
        """SELECT orders_each, count(*) AS customers FROM (SELECT c_custkey, count(o_orderkey) AS
        orders_each FROM customer LEFT JOIN orders ON c_custkey = o_custkey
        AND o_comment NOT LIKE '%special%requests%' GROUP BY c_custkey) AS q
        GROUP BY orders_each ORDER BY customers DESC, orders_each DESC""",
        True,
    ),
    "top supplier": (
        """WITH revenue AS (SELECT l_suppkey AS k, sum(l_extendedprice * (1 - l_discount)) AS r
        FROM lineitem GROUP BY l_suppkey) SELECT s_suppkey, s_name, r FROM supplier
        JOIN revenue ON s_suppkey = k WHERE r = (SELECT max(r) FROM revenue) ORDER BY s_suppkey""",
        True,
    ),
    "distinct suppliers": (
        """SELECT p_brand, p_size, count(DISTINCT ps_suppkey) AS n FROM partsupp
        JOIN part ON p_partkey = ps_partkey WHERE p_brand <> 'Brand#45' AND p_size IN (1, 9, 14, 23)
        AND ps_suppkey NOT IN (SELECT s_suppkey FROM supplier WHERE s_comment LIKE '%Complaints%')
        GROUP BY p_brand, p_size""",
        False,
    ),
    "large orders": (
        """SELECT c_name, o_orderkey, sum(l_quantity) AS q FROM customer, orders, lineitem
        WHERE o_orderkey IN (SELECT l_orderkey FROM lineitem GROUP BY l_orderkey
        HAVING sum(l_quantity) > 250) AND c_custkey = o_custkey AND o_orderkey = l_orderkey
        GROUP BY c_name, o_orderkey ORDER BY q DESC, o_orderkey""",
        True,
    ),
    "who waits": (
        """SELECT s_name, count(*) AS n FROM supplier JOIN lineitem a ON s_suppkey = a.l_suppkey
        JOIN orders ON o_orderkey = a.l_orderkey WHERE o_orderstatus = 'F'
        AND a.l_receiptdate > a.l_commitdate AND EXISTS (SELECT 1 FROM lineitem b WHERE
        b.l_orderkey = a.l_orderkey AND b.l_suppkey <> a.l_suppkey)
        AND NOT EXISTS (SELECT 1 FROM lineitem c WHERE c.l_orderkey = a.l_orderkey
        AND c.l_suppkey <> a.l_suppkey AND c.l_receiptdate > c.l_commitdate)
        GROUP BY s_name ORDER BY n DESC, s_name LIMIT 20""",
        True,
    ),
    "who could buy": (
        """SELECT left(c_phone, 2) AS code, count(*) AS n, sum(c_acctbal) AS balance FROM customer
        WHERE c_acctbal > (SELECT avg(c_acctbal) FROM customer WHERE c_acctbal > 0)
        AND NOT EXISTS (SELECT 1 FROM orders WHERE o_custkey = c_custkey)
        GROUP BY 1 ORDER BY 1""",
        True,
    ),
    "running totals": (
        """SELECT o_orderkey, sum(o_totalprice) OVER (PARTITION BY o_custkey ORDER BY o_orderdate,
        o_orderkey) AS total, rank() OVER (ORDER BY o_totalprice DESC, o_orderkey) AS place
        FROM orders""",
        False,
    ),
}
