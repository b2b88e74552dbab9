// What the watch rules must find, inflicted on valid histories of watchers.
#include <algorithm>
#include <functional>
#include <string>
#include <utility>
#include <vector>

#include "gtest/gtest.h"
#include "jepsen-style-tests/checker/damage.h"

namespace conclave::checker {
namespace {

using etcdserverpb::WatchCreateRequest;
using etcdserverpb::WatchResponse;

using Responses = std::vector<ReceivedWatchResponse>;

// One place in the responses of some attempt.
struct Place {
  WatcherHistory* watcher = nullptr;
  WatchAttempt* attempt = nullptr;
  size_t at = 0;

  Responses& responses() const { return attempt->responses; }
  WatchResponse& response() const { return responses()[at].response; }
  WatchResponse& next() const { return responses()[at + 1].response; }
  bool has_next() const { return at + 1 < responses().size(); }
};

bool HasEvents(const WatchResponse& response) { return response.events_size() > 0; }

// Events, and more events in a response after it.
bool EventsFollow(const Place& place) {
  return HasEvents(place.response()) &&
         std::any_of(place.responses().begin() + static_cast<ptrdiff_t>(place.at) + 1,
                     place.responses().end(),
                     [](const ReceivedWatchResponse& later) { return HasEvents(later.response); });
}

// Not a part of a fragmented batch.
bool Whole(const Place& place) {
  return !place.response().fragment() && !place.responses()[place.at - 1].response.fragment();
}

// Inflicts `change` on a random place that suits.
auto At(std::function<bool(const Place&)> suits, std::function<void(const Place&)> change) {
  return [suits = std::move(suits), change = std::move(change)](GeneratedHistory& history,
                                                                Random& random) {
    std::vector<Place> places;
    for (WatcherHistory& watcher : history.watchers) {
      for (WatchAttempt& attempt : watcher.attempts) {
        for (size_t at = 1; at < attempt.responses.size(); ++at) {
          const Place place{&watcher, &attempt, at};
          if (suits(place)) places.push_back(place);
        }
      }
    }
    if (places.empty()) return false;
    change(places[random.Below(places.size())]);
    return true;
  };
}

bool WholeEventsFollow(const Place& place) { return Whole(place) && EventsFollow(place); }
bool WholeEvents(const Place& place) { return Whole(place) && HasEvents(place.response()); }
bool Anywhere(const Place&) { return true; }

void Erase(const Place& place) {
  place.responses().erase(place.responses().begin() + static_cast<ptrdiff_t>(place.at));
}
void Insert(const Place& place, WatchResponse response) {
  place.responses().insert(place.responses().begin() + static_cast<ptrdiff_t>(place.at),
                           {0, std::move(response)});
}

WatchResponse ProgressAt(int64_t revision) {
  WatchResponse progress;
  progress.mutable_header()->set_revision(revision);
  return progress;
}

int64_t LastRevision(const WatchResponse& response) {
  return response.events(response.events_size() - 1).kv().mod_revision();
}

// Where the last revision of a response begins; 0 if it has one revision only.
int LastRevisionBegin(const WatchResponse& response) {
  int begin = response.events_size() - 1;
  while (begin > 0 && response.events(begin - 1).kv().mod_revision() == LastRevision(response)) {
    --begin;
  }
  return begin;
}

bool EndsWithSeveral(const Place& place) {
  return WholeEvents(place) &&
         place.response().events_size() - LastRevisionBegin(place.response()) >= 2;
}

void Split(const Place& place) {
  WatchResponse first = place.response();
  first.mutable_events()->RemoveLast();
  place.response().mutable_events()->DeleteSubrange(0, first.events_size());
  Insert(place, std::move(first));
}

bool HasDelete(const Place& place) {
  return WholeEventsFollow(place) && place.response().events(0).type() == mvccpb::Event::DELETE;
}
bool FollowedByEvents(const Place& place) {
  return WholeEvents(place) && place.has_next() && HasEvents(place.next()) &&
         !place.next().fragment();
}
bool HasSeveral(const Place& place) {
  return WholeEvents(place) && place.response().events_size() >= 2;
}
bool HasPrevKv(const Place& place) {
  return HasEvents(place.response()) && place.response().events(0).has_prev_kv();
}
bool WithoutPrevKv(const Place& place) {
  return HasEvents(place.response()) && !place.attempt->request.prev_kv();
}
bool InFirstAttempt(const Place& place) {
  return place.attempt == &place.watcher->attempts.front();
}
// At the very end of a watcher, with nothing after it that tells of the end.
bool LastOfWatcher(const Place& place) {
  return WholeEvents(place) && place.attempt == &place.watcher->attempts.back() &&
         !place.has_next();
}
bool LastOfAttempt(const Place& place) { return !place.has_next() && !place.response().canceled(); }

// Nothing is missed by it, so that only the resumption itself is wrong.
bool ResumeTooLate(GeneratedHistory& history, Random& random) {
  WatcherHistory& watcher = history.watchers[random.Below(history.watchers.size())];
  WatchAttempt& last = watcher.attempts.back();
  last.responses.clear();
  last.request.set_start_revision(last.request.start_revision() + 1);
  return true;
}

const Damage kDamages[] = {
    {"GapOfAResponse", "watch-gap", At(WholeEventsFollow, Erase)},
    {"GapInAResponse", "watch-gap",
     At(HasSeveral,
        [](const Place& place) {
          place.response().mutable_events()->erase(place.response().events().begin());
        })},
    {"DroppedDelete", "watch-gap",
     At(HasDelete,
        [](const Place& place) {
          place.response().mutable_events()->erase(place.response().events().begin());
        })},
    {"MissingAtTheEnd", "watch-gap", At(LastOfWatcher, Erase)},
    {"TornRevision", "watch-gap",
     At(EndsWithSeveral,
        [](const Place& place) { place.response().mutable_events()->RemoveLast(); })},
    {"DuplicateResponse", "watch-duplicate",
     At(WholeEvents, [](const Place& place) { Insert(place, WatchResponse(place.response())); })},
    {"DuplicateEvent", "watch-duplicate",
     At(WholeEvents,
        [](const Place& place) {
          *place.response().add_events() =
              mvccpb::Event(place.response().events(place.response().events_size() - 1));
        })},
    {"SwappedResponses", "watch-disorder",
     At(FollowedByEvents, [](const Place& place) { place.response().Swap(&place.next()); })},
    {"SwappedEvents", "watch-disorder",
     At(HasSeveral,
        [](const Place& place) { place.response().mutable_events()->SwapElements(0, 1); })},
    {"SplitRevision", "watch-split-revision", At(EndsWithSeveral, Split)},
    {"UnwantedPuts", "watch-filter",
     At(
         [](const Place& place) {
           return HasEvents(place.response()) &&
                  place.response().events(0).type() == mvccpb::Event::PUT;
         },
         [](const Place& place) {
           place.attempt->request.add_filters(WatchCreateRequest::NOPUT);
         })},
    {"UnwantedDeletes", "watch-filter",
     At(HasDelete,
        [](const Place& place) {
          place.attempt->request.add_filters(WatchCreateRequest::NODELETE);
        })},
    {"ProgressTooEarly", "watch-progress-ahead",
     At(WholeEvents,
        [](const Place& place) { Insert(place, ProgressAt(LastRevision(place.response()))); })},
    {"ProgressInsteadOfTheLastEvents", "watch-progress-ahead",
     At(LastOfWatcher,
        [](const Place& place) {
          place.response() = ProgressAt(place.response().header().revision());
        })},
    {"WrongPrevKv", "watch-wrong-prev-kv",
     At(HasPrevKv,
        [](const Place& place) {
          place.response().mutable_events(0)->mutable_prev_kv()->set_value("other");
        })},
    {"UnwantedPrevKv", "watch-wrong-prev-kv",
     At(WithoutPrevKv,
        [](const Place& place) {
          place.response().mutable_events(0)->mutable_prev_kv()->set_key("a");
        })},
    {"SpuriousEvent", "watch-wrong-event",
     At(WholeEvents,
        [](const Place& place) {
          mvccpb::Event& event = *place.response().add_events();
          event.mutable_kv()->set_key("invented");
          event.mutable_kv()->set_mod_revision(LastRevision(place.response()));
        })},
    {"WrongValue", "watch-wrong-event",
     At(WholeEvents,
        [](const Place& place) {
          place.response().mutable_events(0)->mutable_kv()->set_value("other");
        })},
    {"AnotherRange", "watch-wrong-event",
     At(WholeEvents,
        [](const Place& place) {
          place.attempt->request.set_key("nowhere");
          place.attempt->request.clear_range_end();
        })},
    {"BeforeStart", "watch-before-start",
     At([](const Place& place) { return WholeEvents(place) && InFirstAttempt(place); },
        [](const Place& place) {
          place.attempt->request.set_start_revision(LastRevision(place.response()) + 1);
        })},
    {"ProgressBeforeStart", "watch-before-start",
     At(InFirstAttempt,
        [](const Place& place) {
          place.responses().resize(1);
          const int64_t created = place.responses()[0].response.header().revision();
          place.attempt->request.set_start_revision(created + 1);
          place.responses().push_back({0, ProgressAt(created)});
        })},
    {"NotCreated", "watch-created",
     At(Anywhere, [](const Place& place) { place.responses()[0].response.set_created(false); })},
    {"CreatedTwice", "watch-created",
     At(Anywhere,
        [](const Place& place) { Insert(place, WatchResponse(place.responses()[0].response)); })},
    {"EventsAfterCancel", "watch-after-cancel",
     At(WholeEvents,
        [](const Place& place) {
          WatchResponse canceled;
          canceled.set_canceled(true);
          Insert(place, std::move(canceled));
        })},
    {"NeedlessCompactionCancel", "watch-compaction",
     At(LastOfAttempt,
        [](const Place& place) {
          const int64_t next = NextRevision(*place.attempt);
          WatchResponse canceled;
          canceled.set_canceled(true);
          canceled.set_compact_revision(std::min(next, int64_t{2}));
          place.responses().push_back({0, std::move(canceled)});
        })},
    {"UnaskedCompaction", "watch-compaction",
     At([](const Place& place) { return place.response().compact_revision() != 0; },
        [](const Place& place) { place.response().set_compact_revision(1'000'000); })},
    {"HeaderBelowItsEvents", "watch-header",
     At(WholeEvents,
        [](const Place& place) {
          place.response().mutable_header()->set_revision(LastRevision(place.response()) - 1);
        })},
    {"ResumedTooLate", "watch-resume", ResumeTooLate},
};

class WatchDamage : public testing::TestWithParam<Damage> {};

TEST_P(WatchDamage, IsFound) {
  ExpectFound(GetParam(), [](const GeneratedHistory& history) {
    return CheckWatches(history.watchers, history.log, history.watch_options);
  });
}

INSTANTIATE_TEST_SUITE_P(Damages, WatchDamage, testing::ValuesIn(kDamages), NameOf);

}  // namespace
}  // namespace conclave::checker
