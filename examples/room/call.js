// A call: the WebSocket, the connection, and who else is there. Knows nothing of what is shown.
//
// To the server go
//   {"join": {name, key}}, {"label": {stream, label}}, {"mute": {kind, muted}}, "leave", {description}, {candidate}
// and from it come
//   {"welcome": {participant, iceServers}}, {"room": {type: "joined", …}}, {"closed": reason}, {"error": "…"}, {description}, {candidate}
'use strict';

class Call {
  // `told` hears a sentence for each thing worth knowing, `changed` that something is to be shown anew; `path` is where the WebSocket is.
  constructor({ name, key, changed, told, path = '/ws' }) {
    Object.assign(this, { name, key, changed, told, path });
    this.status = 'connecting';
    // What this page sends: its tracks, whether connected or not.
    this.own = { microphone: null, camera: null, screen: null };
    this.isMuted = false;
    this.attempts = 0;
    this.forget();
  }

  // ---- What the user does ----

  join() {
    this.connect();
  }

  leave() {
    this.end('left');
    this.say('leave');
    this.socket?.close();
  }

  // Sends a track as `microphone`, `camera` or `screen`, or nothing any more. That it has to be negotiated is noticed by
  // the connection, which then makes an offer of its own.
  async publish(what, track, stream) {
    this.own[what] = track && { track, stream };
    if (this.pc) await this.attach(what);
    this.changed();
  }

  // The track is silent at once, and the server keeps it from everybody, and tells them.
  setMuted(muted) {
    this.isMuted = muted;
    if (this.own.microphone) this.own.microphone.track.enabled = !muted;
    this.say({ mute: { kind: 'audio', muted } });
    this.changed();
  }

  // ---- The WebSocket ----

  connect() {
    const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
    const socket = this.socket = new WebSocket(`${scheme}://${location.host}${this.path}`);
    socket.onopen = () => this.say({ join: { name: this.name, key: this.key } });
    socket.onmessage = async ({ data }) => {
      try {
        if (socket === this.socket) await this.receive(JSON.parse(data));
      } catch (error) {
        this.told(`What the server said could not be used: ${error.message}`, 'problem');
      }
    };
    socket.onclose = ({ reason }) => {
      if (socket === this.socket) this.lost(reason);
    };
  }

  // Without its socket a page is not in the room any more. It comes back by itself, a little later each time.
  lost(reason) {
    this.forget();
    if (this.status === 'left' || this.status === 'ended') return this.changed();
    const seconds = Math.min(0.5 * 2 ** this.attempts++, 8);
    this.status = 'reconnecting';
    this.told(`${reason ? `The server says: ${reason}.` : 'The server cannot be reached.'} Trying again in ${seconds} s.`, 'problem');
    this.changed();
    setTimeout(() => { if (this.status === 'reconnecting') this.connect(); }, seconds * 1000);
  }

  end(status) {
    this.status = status;
    this.changed();
  }

  say(message) {
    if (this.socket?.readyState === WebSocket.OPEN) this.socket.send(JSON.stringify(message));
  }

  forget() {
    this.pc?.close();
    this.pc = null;
    this.negotiate = null;
    this.transceivers = {};
    this.me = null;
    this.participants = new Map();
    this.speaking = [];
    this.streams = new Map();
  }

  async receive(message) {
    if ('welcome' in message) await this.enter(message.welcome);
    else if ('room' in message) this.hear(message.room);
    else if ('closed' in message) this.sentOut(message.closed);
    else if ('error' in message) this.told(`The server says: ${message.error}`, 'problem');
    else await this.negotiate?.(message);
  }

  // ---- The connection ----

  async enter({ participant, iceServers }) {
    this.me = participant;
    this.status = 'joined';
    this.attempts = 0;
    const pc = this.pc = new RTCPeerConnection({ iceServers });
    this.negotiate = perfectNegotiation(pc, message => { if (pc === this.pc) this.say(message); });
    pc.ontrack = ({ track, streams: [stream] }) => {
      this.streams.set(stream.id, stream);
      track.onmute = track.onunmute = () => this.changed();
      stream.onremovetrack = () => {
        if (!stream.getTracks().length) this.streams.delete(stream.id);
        this.changed();
      };
      this.changed();
    };
    pc.onconnectionstatechange = () => {
      if (pc.connectionState === 'failed') {
        this.told('No packets get through any more. Looking for another way.', 'problem');
        pc.restartIce();
      }
      this.changed();
    };
    if (this.isMuted) this.say({ mute: { kind: 'audio', muted: true } });
    for (const what of Object.keys(this.own)) if (this.own[what]) await this.attach(what);
    this.changed();
  }

  // A transceiver is kept for what comes again, so that descriptions do not grow with every click. All of them take in what
  // the server may send by them.
  async attach(what) {
    const { track = null, stream } = this.own[what] ?? {};
    const known = this.transceivers[what];
    if (!known && track) {
      this.transceivers[what] = this.pc.addTransceiver(track, { direction: 'sendrecv', streams: [stream] });
    } else if (known) {
      await known.sender.replaceTrack(track);
      if (track) known.sender.setStreams?.(stream);
      known.direction = track ? 'sendrecv' : 'recvonly';
    }
    if (track) this.say({ label: { stream: stream.id, label: what === 'screen' ? 'screen' : 'camera' } });
  }

  // ---- The others ----

  hear(event) {
    const who = this.participants.get(event.participant);
    const publication = who?.publications.get(event.publication);
    const isMe = event.participant === this.me;
    switch (event.type) {
      case 'joined':
        this.participants.set(event.participant, { id: event.participant, name: event.name, state: 'new', publications: new Map() });
        this.told(`${event.name} is here.`);
        break;
      case 'left':
        if (who) this.told(`${who.name} ${REASONS[event.reason] ?? 'has left'}.`);
        this.participants.delete(event.participant);
        break;
      case 'connectionStateChanged':
        if (who) who.state = event.state;
        break;
      case 'published': {
        const { publication: id, kind, stream, label, mutedBy } = event;
        who?.publications.set(id, { id, kind, stream, label, mutedBy, problem: null });
        if (who && label === 'screen') this.told(`${who.name} shares a screen.`);
        break;
      }
      case 'unpublished':
        who?.publications.delete(event.publication);
        break;
      case 'labelled':
        for (const one of who?.publications.values() ?? []) if (one.stream === event.stream) one.label = event.label;
        break;
      case 'muted':
        if (publication) publication.mutedBy = event.by;
        if (isMe && event.by === 'moderator') this.told('You were muted by the moderator.', 'problem');
        break;
      case 'unmuted':
        if (publication) publication.mutedBy = null;
        break;
      case 'speaking':
        this.speaking = event.participants;
        break;
      case 'cannotDecode':
        this.problem(event.publication, `is sent as ${event.codec ?? 'nothing that this browser knows'}, which this browser cannot show`);
        break;
      case 'notForwarded':
        if (isMe && !this.problem(event.publication, `is not sent to you: ${event.error}`)) {
          this.told(`Something that you send does not reach the others: ${event.error}.`, 'problem');
        }
        break;
      case 'negotiationFailed':
        this.told(`Browser and server could not agree: ${event.error}.`, 'problem');
        break;
    }
    this.changed();
  }

  // Notes why a publication of somebody cannot be seen or heard.
  problem(publication, text) {
    for (const who of this.participants.values()) {
      const found = who.publications.get(publication);
      if (!found) continue;
      found.problem = text;
      this.told(`What ${who.name} sends ${text}.`, 'problem');
      return true;
    }
    return false;
  }

  sentOut(reason) {
    const final = { left: 'left', replaced: 'ended', removed: 'ended' }[reason];
    if (final) this.status = final;
    if (reason !== 'left') this.told(`You ${MINE[reason] ?? 'are not in the room any more'}.`, 'problem');
    this.changed();
  }
}

// W3C's example of perfect negotiation (webrtc-pc §10.7), polite. Returns what takes the other side's messages.
function perfectNegotiation(pc, say) {
  const polite = true;
  let makingOffer = false, ignoreOffer = false, settingAnswer = false;
  pc.onicecandidate = ({ candidate }) => say({ candidate });
  pc.onnegotiationneeded = async () => {
    try {
      makingOffer = true;
      await pc.setLocalDescription();
      say({ description: pc.localDescription });
    } finally {
      makingOffer = false;
    }
  };
  return async ({ description, candidate }) => {
    if (description) {
      const ready = !makingOffer && (pc.signalingState === 'stable' || settingAnswer);
      const collision = description.type === 'offer' && !ready;
      ignoreOffer = !polite && collision;
      if (ignoreOffer) return;
      settingAnswer = description.type === 'answer';
      await pc.setRemoteDescription(description);
      settingAnswer = false;
      if (description.type === 'offer') {
        await pc.setLocalDescription();
        say({ description: pc.localDescription });
      }
    } else {
      try {
        await pc.addIceCandidate(candidate);
      } catch (error) {
        if (!ignoreOffer) throw error;
      }
    }
  };
}

// Why somebody is not there any more.
const REASONS = {
  left: 'has left',
  replaced: 'comes back',
  removed: 'was removed',
  listenerGone: 'is gone',
  neverConnected: 'could not be connected',
  connectionLost: 'was lost on the way',
  connectionClosed: 'has hung up',
  connectionFailed: 'could not be connected safely',
  crashed: 'has had an accident on the server',
  tooManyMessages: 'said too much at once',
  roomClosed: 'had to go',
};

// The same, said to the one concerned.
const MINE = {
  replaced: 'have opened this room in another tab, which goes on',
  removed: 'were removed from the room',
  neverConnected: 'could not be connected: no pair of addresses works',
  connectionLost: 'were not heard of for too long',
  connectionClosed: 'have hung up',
  connectionFailed: 'could not be connected safely',
  crashed: 'are the victim of an accident on the server',
  tooManyMessages: 'said more to the server than it takes',
  roomClosed: 'have to go: the room was closed',
};
