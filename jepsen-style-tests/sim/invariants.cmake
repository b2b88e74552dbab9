# What must hold of all simulated members, and what tells it of them.
conclave_library(conclave_sim_invariants
  SOURCES full_buffer.cc mirrored_member.cc observed_store.cc observed_wal.cc raft_invariants.cc
  DEPS conclave_kvstore conclave_raft_core_checker conclave_raft_wal conclave_sim_disk fmt::fmt)
conclave_test(sim_invariants_test
  SOURCES observed_member_test.cc raft_invariants_loss_test.cc raft_invariants_state_test.cc raft_invariants_test.cc
  DEPS conclave_sim_invariants conclave_stages
  ONE_THREAD)
