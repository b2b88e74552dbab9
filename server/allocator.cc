// What the program asks of jemalloc, which serves all its allocations (cmake/targets.cmake).

// Read by jemalloc when it starts (jemalloc(3), TUNING). Large pages for everything: tens
// of MiB are looked at at random (records in memory, write buffer, LevelDB's blocks), and on pages
// of 4 KiB each look misses the TLB too. Costs some 40 MiB of memory; without them a get is a tenth
// dearer (docs/performance.md).
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always";
