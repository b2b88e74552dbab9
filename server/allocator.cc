// What the program asks of jemalloc, which serves all its allocations (cmake/targets.cmake).

// Read by jemalloc when it starts (jemalloc(3), TUNING). Large pages for everything: tens
// of MiB are looked at at random (records in memory, write buffer, LevelDB's blocks), and on pages
// of 4 KiB each look misses the TLB too. Costs some 40 MiB of memory; without them a get is a tenth
// dearer (docs/performance.md).
//
// One arena, and none apart for what is large: buffers go from the hot thread to the flush, and
// grow there to tens of MiB. With several arenas each kept what others had to get anew from the
// kernel, and what is larger than 8 MiB went back to it at once; its clearing of pages was a
// fifteenth of all time. Few threads allocate at a time, and each has a cache of its own.
extern "C" const char* malloc_conf;
const char* malloc_conf = "thp:always,narenas:1,oversize_threshold:0";
