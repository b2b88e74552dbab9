# The disk of a simulated member.
conclave_library(conclave_sim_disk
  SOURCES damaged_log.cc disk_damage.cc fault_atlas.cc sim_disk.cc
  DEPS conclave_base conclave_kv_engine conclave_raft_core_checker conclave_raft_wal)
conclave_test(sim_disk_test
  SOURCES damaged_log_test.cc disk_damage_test.cc leveldb_on_sim_disk_test.cc sim_disk_test.cc
  DEPS conclave_sim_disk)
