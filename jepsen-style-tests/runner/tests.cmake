# The tests of what leads a run, and of runs as a whole.
conclave_test(sim_runner_test
  SOURCES
    jobs_test.cc nemesis_test.cc result_json_test.cc
  APART partition_test.cc run_test.cc swarm_options_test.cc
  DEPS conclave_sim_runner_sim
  LABELS sim)
