#include "server/lanes/call_relay.h"

#include <cstdint>
#include <limits>
#include <utility>

#include "absl/container/flat_hash_map.h"
#include "raft/base/check.h"
#include "raft/base/seeded_bug.h"

namespace conclave::server {

namespace {

constexpr size_t kEventBytesMax = 16 << 20;
constexpr int64_t kHeldBytesMax = 16 << 20;
constexpr size_t kNoBytesMax = std::numeric_limits<size_t>::max();

}  // namespace

// The service's side of all calls: what they have to say is taken from them once a turn. On the
// home lane.
class CallRelay::Answers : public RelayedCallOwner, private TurnEndListener {
 public:
  Answers(EventLoop* home, Mailbox<RelayedAnswer>* answers)
      : TurnEndListener(home), home_(home), answers_(answers) {}
  // The relay goes.
  void Close() { answers_ = nullptr; }

  void MarkDirty(RelayedCall* call) override {
    if (answers_ == nullptr) return;
    dirty_.push_back(call->shared_from_this());
    ArmTurnEnd();
  }
  bool CountHeld(int64_t change) override {
    held_bytes_ += change;
    return held_bytes_ <= kHeldBytesMax;
  }
  Executor* home() const override { return home_; }

 private:
  void OnTurnEnd() override {
    for (std::shared_ptr<RelayedCall>& call : dirty_) {
      batch_.push_back(call->TakeAnswer());
      batch_.back().call = std::move(call);
    }
    dirty_.clear();
    if (answers_ != nullptr) answers_->Hand(batch_, 0);
  }

  EventLoop* const home_;
  Mailbox<RelayedAnswer>* answers_;
  std::vector<std::shared_ptr<RelayedCall>> dirty_;
  std::vector<RelayedAnswer> batch_;  // kept for its capacity
  int64_t held_bytes_ = 0;
};

// Hears of a call over there. On the I/O lane.
class CallRelay::Client : public StreamHandler {
 public:
  Client(Outbox<Event>* events, std::shared_ptr<RelayedCall> call)
      : events_(events), call_(std::move(call)) {}

  void OnMessage(std::string_view message) override {
    events_->Push({.kind = Event::Kind::kMessage, .call = call_, .message = std::string(message)},
                  message.size());
  }
  void OnHalfClose() override { events_->Push({.kind = Event::Kind::kHalfClose, .call = call_}); }
  void OnTaken(size_t bytes) override {
    if (call_->OnTaken(bytes)) events_->Push({.kind = Event::Kind::kRoom, .call = call_});
  }
  void OnClosed() override {
    if (call_->end_is_known || SEEDED_BUG(kRelayedEndUntold)) return;
    events_->Push({.kind = Event::Kind::kClosed, .call = std::move(call_)});
  }

 private:
  Outbox<Event>* const events_;
  std::shared_ptr<RelayedCall> call_;
};

// Told by the I/O lane's server. It knows the relay's methods, the one who is told knows the
// services'.
class CallRelay::Observer : public RpcObserver {
 public:
  Observer(Outbox<Observed>* observed, const DispatchTable& relayed, const DispatchTable& served)
      : observed_(observed) {
    for (const Method* method : relayed.All()) served_[method] = served.Find(method->path);
  }

  void OnStarted(const Method& method) override {
    observed_->Push({.kind = Observed::Kind::kStarted, .method = served_.at(&method)});
  }
  void OnMessageReceived(const Method& method, size_t bytes) override {
    observed_->Push(
        {.kind = Observed::Kind::kReceived, .method = served_.at(&method), .bytes = bytes});
  }
  void OnMessageSent(const Method& method, size_t bytes) override {
    observed_->Push({.kind = Observed::Kind::kSent, .method = served_.at(&method), .bytes = bytes});
  }
  void OnHandled(const Method& method, absl::StatusCode code, Duration elapsed) override {
    observed_->Push({.kind = Observed::Kind::kHandled,
                     .method = served_.at(&method),
                     .code = code,
                     .elapsed = elapsed});
  }
  void OnConnectionClosed(size_t received, size_t sent) override {
    observed_->Push(
        {.kind = Observed::Kind::kConnectionClosed, .bytes = received, .bytes_sent = sent});
  }

 private:
  Outbox<Observed>* const observed_;
  absl::flat_hash_map<const Method*, const Method*> served_;
};

CallRelay::CallRelay(EventLoop* io, EventLoop* home, const DispatchTable* served,
                     RpcObserver* observer, size_t output_high_mark)
    : io_(io),
      home_(home),
      told_(observer),
      output_high_mark_(output_high_mark),
      alive_(std::make_shared<bool>(true)),
      events_(home, kEventBytesMax, [this](Event& event) { Receive(event); }),
      observed_(home, kNoBytesMax, [this](Observed& observed) { Observe(observed); }),
      answers_(io, kNoBytesMax, [this](RelayedAnswer& answer) { Carry(answer); }),
      events_out_(io, &events_),
      observed_out_(io, &observed_),
      answers_out_(std::make_shared<Answers>(home, &answers_)),
      observer_([&] {
        for (const Method* method : served->All()) AddMethod(*method);
        return std::make_unique<Observer>(&observed_out_, methods_, *served);
      }()) {}

CallRelay::~CallRelay() {
  *alive_ = false;
  events_out_.Flush();
  observed_out_.Flush();
  events_.Receive();
  observed_.Receive();
  answers_out_->Close();
}

void CallRelay::Unbound() { events_.Unbound(); }

RpcObserver* CallRelay::observer() { return told_ == nullptr ? nullptr : observer_.get(); }

void CallRelay::AddMethod(const Method& served) {
  const auto start = [this, method = &served](const CallRef& client, std::string_view request) {
    auto call = std::make_shared<RelayedCall>(answers_out_, client, output_high_mark_);
    client->SetHandler(std::make_unique<Client>(&events_out_, call));
    events_out_.Push({.kind = Event::Kind::kStart,
                      .call = std::move(call),
                      .method = method,
                      .message = std::string(request)},
                     sizeof(RelayedCall) + request.size());
  };
  Method relayed{
      .path = served.path, .kind = served.kind, .on_request = nullptr, .on_start = nullptr};
  if (served.kind == MethodKind::kBidirectional) {
    relayed.on_start = [start](const CallRef& client) { start(client, {}); };
  } else {
    relayed.on_request = start;
  }
  methods_.Add(std::move(relayed));
}

void CallRelay::Receive(Event& event) {
  RelayedCall& call = *event.call;
  switch (event.kind) {
    case Event::Kind::kStart:
      if (event.method->kind == MethodKind::kBidirectional) {
        event.method->on_start(event.call);
      } else {
        event.method->on_request(event.call, event.message);
      }
      break;
    case Event::Kind::kMessage:
      call.OnMessage(std::move(event.message));
      break;
    case Event::Kind::kHalfClose:
      call.OnHalfClose();
      break;
    case Event::Kind::kRoom:
      call.OnRoom();
      break;
    case Event::Kind::kClosed:
      call.OnClosed();
      break;
  }
  event.call = nullptr;  // its memory is used again by the next ones
}

void CallRelay::Observe(const Observed& observed) {
  switch (observed.kind) {
    case Observed::Kind::kStarted:
      return told_->OnStarted(*observed.method);
    case Observed::Kind::kReceived:
      return told_->OnMessageReceived(*observed.method, observed.bytes);
    case Observed::Kind::kSent:
      return told_->OnMessageSent(*observed.method, observed.bytes);
    case Observed::Kind::kHandled:
      return told_->OnHandled(*observed.method, observed.code, observed.elapsed);
    case Observed::Kind::kConnectionClosed:
      return told_->OnConnectionClosed(observed.bytes, observed.bytes_sent);
  }
}

void CallRelay::Carry(RelayedAnswer& answer) {
  Call& client = *answer.call->client();
  RelayedCall::SendTo(client, answer.messages);
  if (answer.status) client.Finish(*answer.status);
  if (answer.abandoned) client.Abandon();
  if (answer.status || answer.abandoned) answer.call->end_is_known = !answer.has_handler;
  switch (answer.reading) {
    case RelayedAnswer::Reading::kAsBefore:
      break;
    case RelayedAnswer::Reading::kPaused:
      client.PauseReading();
      break;
    case RelayedAnswer::Reading::kResumed:
      client.ResumeReading();
      break;
  }
  answer = {};
}

HttpRoute CallRelay::Relay(const HttpRoute& route) const {
  HttpRoute relayed{.method = route.method, .path = route.path, .handler = nullptr};
  relayed.handler = [io = io_, home = home_, alive = alive_, serve = route.handler](
                        const HttpRequest& request, HttpRespond respond) {
    home->Post([io, alive, serve, request, respond = std::move(respond)] {
      if (!*alive) return;
      serve(request, [io, alive, respond](HttpResponse response) {
        if (!*alive) return;
        io->Post([respond, response = std::move(response)] { respond(response); });
      });
    });
  };
  return relayed;
}

}  // namespace conclave::server
