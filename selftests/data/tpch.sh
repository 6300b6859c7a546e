# tpch.sh: for scripts that test over the small TPC-H tables; source it after setting $dsmx and $data.
#
#	tpch_import DIR		the tables of selftests/data/tpch-sf0.01 as Arrow files in DIR

tpch_schema() {
	case $1 in
	region) echo 'r_regionkey int32, r_name utf8, r_comment utf8' ;;
	nation) echo 'n_nationkey int32, n_name utf8, n_regionkey int32, n_comment utf8' ;;
	supplier) echo 's_suppkey int32, s_name utf8, s_address utf8, s_nationkey int32, s_phone utf8,
		s_acctbal decimal(15,2), s_comment utf8' ;;
	customer) echo 'c_custkey int32, c_name utf8, c_address utf8, c_nationkey int32, c_phone utf8,
		c_acctbal decimal(15,2), c_mktsegment utf8, c_comment utf8' ;;
	part) echo 'p_partkey int32, p_name utf8, p_mfgr utf8, p_brand utf8, p_type utf8, p_size int32,
		p_container utf8, p_retailprice decimal(15,2), p_comment utf8' ;;
	partsupp) echo 'ps_partkey int32, ps_suppkey int32, ps_availqty int32, ps_supplycost decimal(15,2),
		ps_comment utf8' ;;
	orders) echo 'o_orderkey int64, o_custkey int32, o_orderstatus utf8, o_totalprice decimal(15,2),
		o_orderdate date, o_orderpriority utf8, o_clerk utf8, o_shippriority int32, o_comment utf8' ;;
	lineitem) echo 'l_orderkey int64, l_partkey int32, l_suppkey int32, l_linenumber int32,
		l_quantity decimal(15,2), l_extendedprice decimal(15,2), l_discount decimal(15,2),
		l_tax decimal(15,2), l_returnflag utf8, l_linestatus utf8, l_shipdate date, l_commitdate date,
		l_receiptdate date, l_shipinstruct utf8, l_shipmode utf8, l_comment utf8' ;;
	esac
}

tpch_import() {
	for table in region nation supplier customer part partsupp orders lineitem; do
		"$dsmx" import -q "$data/tpch-sf0.01/$table.tbl.zst" --schema "$(tpch_schema $table)" \
			-o "$1/$table.arrow" || return 1
	done
}
