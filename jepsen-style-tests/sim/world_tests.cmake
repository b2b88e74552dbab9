# The tests of the simulator's own parts, which every run stands on.
conclave_test(sim_world_test
  SOURCES member_lane_test.cc network_test.cc scheduler_test.cc sim_call_test.cc trace_test.cc
  DEPS conclave_sim_world_sim
  LABELS sim)
