// What the program asks of jemalloc, which serves all its allocations (cmake/targets.cmake).

// Read by jemalloc when it starts (jemalloc(3), TUNING). Large pages for everything: LevelDB's
// write buffer is a skip list of 16 MiB, and on pages of 4 KiB each step through it misses the TLB
// too. Costs some 30 MiB of memory; a put gets a tenth cheaper (docs/performance.md).
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always";
