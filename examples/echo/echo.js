// The page of the echo example. The server speaks
//   {"type": "offer" | "answer" | "ice", "data": …}
// on the WebSocket at /ws, and {"type": "error", "data": "…"} when it could not use what we said.
'use strict';

// What runs between Start and Stop; null in between.
let session = null;

async function start() {
  if (session) return;
  showError(null);
  showSession('starting');
  const mine = { stream: null, pc: null, socket: null, timer: 0, last: null };
  session = mine;
  try {
    mine.stream = await camera();
    if (session !== mine) return release(mine);
    element('local').srcObject = mine.stream;
    mine.socket = await connectSocket();
    if (session !== mine) return release(mine);
    await negotiate(mine);
    mine.timer = setInterval(() => refresh(mine), 1000);
  } catch (error) {
    // Stop may have been pressed meanwhile; then nobody wants to hear of it.
    if (session === mine) fail(explain(error));
  }
}

function stop() {
  const ended = session;
  session = null;
  if (ended) release(ended);
  element('local').srcObject = null;
  element('remote').srcObject = null;
  for (const figure of document.querySelectorAll('#figures dd')) figure.textContent = '–';
  showSizes();
  showSession('idle');
}

// Ends what a session holds: the camera's light goes out, the server's actor ends with the socket.
function release({ stream, pc, socket, timer }) {
  clearInterval(timer);
  stream?.getTracks().forEach(track => track.stop());
  pc?.close();
  if (socket) {
    socket.onclose = null;
    socket.close();
  }
}

function fail(text) {
  stop();
  showSession('failed');
  showError(text);
}

function camera() {
  if (!navigator.mediaDevices) {
    throw new Error('The browser gives camera and microphone only to pages from localhost or https.');
  }
  return navigator.mediaDevices.getUserMedia({
    audio: true,
    video: { width: { ideal: 640 }, height: { ideal: 480 } },
  });
}

function connectSocket() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const socket = new WebSocket(`${scheme}://${location.host}/ws`);
  return new Promise((resolve, reject) => {
    socket.onopen = () => resolve(socket);
    socket.onclose = () => reject(new Error('The server does not answer.'));
  });
}

// We offer our tracks, the server answers; candidates travel both ways as they are found.
async function negotiate(mine) {
  const { stream, socket } = mine;
  const pc = mine.pc = new RTCPeerConnection();
  const say = (type, data) => socket.readyState === WebSocket.OPEN && socket.send(JSON.stringify({ type, data }));

  pc.ontrack = ({ streams }) => { element('remote').srcObject = streams[0]; };
  pc.onicecandidate = ({ candidate }) => { if (candidate) say('ice', candidate); };
  pc.onconnectionstatechange = () => {
    if (session !== mine) return;
    if (pc.connectionState === 'failed') fail('The connection to the server failed: no pair of addresses works.');
    else showSession(pc.connectionState);
  };
  socket.onmessage = async ({ data }) => {
    try {
      const signal = JSON.parse(data);
      if (signal.type === 'answer') await pc.setRemoteDescription(signal.data);
      if (signal.type === 'ice') await pc.addIceCandidate(signal.data);
      if (signal.type === 'error') showError(`The server says: ${signal.data}`);
    } catch (error) {
      if (session === mine) fail(explain(error));
    }
  };
  socket.onclose = ({ reason }) => {
    if (session === mine) fail(reason ? `The server hung up: ${reason}` : 'The server hung up.');
  };

  stream.getTracks().forEach(track => pc.addTrack(track, stream));
  preferCodec(pc, options.get('codec'));
  await pc.setLocalDescription();
  say('offer', pc.localDescription);
}

// Puts one video codec first and leaves the others out; retransmission and the like stay.
function preferCodec(pc, name) {
  if (!name) return;
  const helpers = ['video/rtx', 'video/red', 'video/ulpfec'];
  const wanted = `video/${name}`.toLowerCase();
  const codecs = RTCRtpReceiver.getCapabilities('video').codecs
    .filter(({ mimeType }) => [wanted, ...helpers].includes(mimeType.toLowerCase()));
  if (!codecs.some(({ mimeType }) => mimeType.toLowerCase() === wanted)) {
    throw new Error(`This browser has no video codec “${name}”.`);
  }
  const video = pc.getTransceivers().find(({ sender }) => sender.track?.kind === 'video');
  video.setCodecPreferences(codecs);
}

// All figures the page shows, counted since the start.
async function figures(pc = session?.pc) {
  const all = [...(await pc.getStats()).values()];
  const one = (type, kind) => all.find(entry => entry.type === type && (!kind || entry.kind === kind)) ?? {};
  const sum = (type, name) => all.filter(entry => entry.type === type).reduce((total, entry) => total + (entry[name] ?? 0), 0);
  const transport = one('transport');
  const pair = all.find(({ id }) => id === transport.selectedCandidatePairId) ?? {};
  const videoIn = one('inbound-rtp', 'video');
  const videoOut = one('outbound-rtp', 'video');
  const codec = id => all.find(entry => entry.id === id)?.mimeType?.split('/')[1];
  return {
    at: performance.now(),
    connectionState: pc.connectionState,
    framesDecoded: videoIn.framesDecoded ?? 0,
    framesSent: videoOut.framesSent ?? 0,
    frameSize: [videoIn.frameWidth, videoIn.frameHeight],
    sentSize: [videoOut.frameWidth, videoOut.frameHeight],
    audioPackets: one('inbound-rtp', 'audio').packetsReceived ?? 0,
    audioEnergy: one('inbound-rtp', 'audio').totalAudioEnergy ?? 0,
    bytesReceived: sum('inbound-rtp', 'bytesReceived'),
    bytesSent: sum('outbound-rtp', 'bytesSent'),
    packetsLost: sum('inbound-rtp', 'packetsLost'),
    keyFrames: videoIn.keyFramesDecoded ?? 0,
    roundTrip: pair.currentRoundTripTime,
    // What the browser believes it may send, in bit/s.
    allowedBitrate: pair.availableOutgoingBitrate ?? 0,
    videoCodec: codec(videoIn.codecId),
    audioCodec: codec(one('inbound-rtp', 'audio').codecId),
    cipher: transport.srtpCipher,
    // What the server's own reports say of our packets.
    reportedRoundTrip: one('remote-inbound-rtp', 'video').roundTripTime,
    reportedBytes: one('remote-outbound-rtp', 'video').bytesSent,
  };
}

async function refresh(mine) {
  const now = await figures(mine.pc);
  if (session !== mine) return;
  const before = mine.last ?? now;
  mine.last = now;
  const seconds = (now.at - before.at) / 1000;
  const rate = name => seconds ? (now[name] - before[name]) / seconds : 0;
  const show = (id, text) => { element(id).textContent = text; };

  show('round-trip', now.roundTrip === undefined ? '–' : `${(now.roundTrip * 1000).toFixed(1)} ms`);
  show('frames-in', `${rate('framesDecoded').toFixed(0)} /s`);
  show('frames-out', `${rate('framesSent').toFixed(0)} /s`);
  show('bitrate-in', bitrate(rate('bytesReceived')));
  show('bitrate-out', bitrate(rate('bytesSent')));
  show('lost', String(now.packetsLost));
  show('codecs', [now.videoCodec, now.audioCodec].filter(Boolean).join(', ') || '–');
  show('cipher', now.cipher?.replace('SRTP_', '') ?? '–');
}

function bitrate(bytesPerSecond) {
  const kilobits = bytesPerSecond * 8 / 1000;
  return kilobits < 1000 ? `${kilobits.toFixed(0)} kbit/s` : `${(kilobits / 1000).toFixed(2)} Mbit/s`;
}

function showSession(state) {
  showState(state);
  const running = session !== null;
  element('start').disabled = running;
  element('stop').disabled = !running;
  element('crash').disabled = !running;
}

function showSizes() {
  for (const id of ['local', 'remote']) {
    const { videoWidth, videoHeight } = element(id);
    element(`${id}-size`).textContent = videoWidth ? `${videoWidth} × ${videoHeight}` : '–';
  }
}

function explain(error) {
  const known = {
    NotAllowedError: 'Camera and microphone are not allowed for this page.',
    NotFoundError: 'No camera or no microphone was found.',
    NotReadableError: 'Camera or microphone is in use by another program.',
  };
  return known[error.name] ?? error.message ?? String(error);
}

element('start').onclick = start;
element('stop').onclick = stop;
element('crash').onclick = () => session?.socket?.send(JSON.stringify({ type: 'crash' }));
element('sound').onclick = () => {
  const muted = element('remote').muted = !element('remote').muted;
  element('sound').textContent = muted ? 'Sound off' : 'Sound on';
  element('sound').setAttribute('aria-pressed', String(!muted));
};
for (const id of ['local', 'remote']) {
  element(id).onresize = showSizes;
  element(id).onemptied = showSizes;
}
element('crash').hidden = !options.has('debug');
