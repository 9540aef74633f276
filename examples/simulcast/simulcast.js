// The page of the simulcast example. It has three connections, "camera", "left" and "right", and one WebSocket for all of them:
//   {"type": "offer" | "answer", "of": …, "description": …}, {"type": "ice", "of": …, "candidate": …}
//   {"type": "wish", "of": "left", "layer": "auto" | "off" | "h" | "m" | "l"}
// and, from the server, "layers" (what arrives of the camera), "gets" (which encoding a screen has), "path" and "error".
'use strict';

// Everything by the name of its connection.
const connections = {};
const screens = {};
let socket = null;

const ENCODINGS = [
  { rid: 'h', scaleResolutionDownBy: 1 },
  { rid: 'm', scaleResolutionDownBy: 2 },
  { rid: 'l', scaleResolutionDownBy: 4 },
];

async function start() {
  element('start').disabled = true;
  showError(null);
  showState('starting');
  try {
    if (!navigator.mediaDevices) {
      throw new Error('The browser gives the camera only to pages from localhost or https.');
    }
    const width = Number(options.get('width') ?? 1280);
    const video = { width: { ideal: width }, height: { ideal: width * 9 / 16 } };
    const stream = await navigator.mediaDevices.getUserMedia({ video });
    element('camera').srcObject = stream;
    socket = await connectSocket();
    await publish(stream);
    for (const name of ['left', 'right']) await watch(name);
  } catch (error) {
    fail(error.message);
  }
}

function connectSocket() {
  const scheme = location.protocol === 'https:' ? 'wss' : 'ws';
  const opened = new WebSocket(`${scheme}://${location.host}/ws`);
  opened.onmessage = ({ data }) => receive(JSON.parse(data)).catch(error => fail(error.message));
  return new Promise((resolve, reject) => {
    opened.onopen = () => {
      opened.onclose = ({ reason }) => fail(reason || 'The server hung up.');
      resolve(opened);
    };
    opened.onclose = () => reject(new Error('The server does not answer.'));
  });
}

function say(signal) {
  if (socket.readyState === WebSocket.OPEN) socket.send(JSON.stringify(signal));
}

async function publish(stream) {
  const pc = connections.camera = new RTCPeerConnection();
  const sendEncodings = ENCODINGS.map(encoding => ({ ...encoding, ...modeOf(options.get('codec')) }));
  pc.addTransceiver(stream.getVideoTracks()[0], { direction: 'sendonly', streams: [stream], sendEncodings });
  await offer('camera', pc);
}

// Without a mode, Chromium puts the encodings of VP9 and AV1 into one stream, as layers of it.
function modeOf(codec) {
  return ['VP9', 'AV1'].includes(codec?.toUpperCase()) ? { scalabilityMode: 'L1T1' } : {};
}

async function watch(name) {
  const pc = connections[name] = new RTCPeerConnection();
  pc.addTransceiver('video', { direction: 'recvonly' });
  pc.ontrack = ({ streams }) => { screens[name].video.srcObject = streams[0]; };
  await offer(name, pc);
}

// Candidates travel as they are found; the next connection begins when this one is answered.
async function offer(of, pc) {
  pc.onicecandidate = ({ candidate }) => { if (candidate) say({ type: 'ice', of, candidate }); };
  pc.onconnectionstatechange = showStates;
  preferCodec(pc, options.get('codec'));
  await pc.setLocalDescription();
  say({ type: 'offer', of, description: pc.localDescription });
  await new Promise(answered => { pc.answered = answered; });
}

async function receive(signal) {
  const pc = connections[signal.of];
  if (signal.type === 'answer') {
    await pc.setRemoteDescription(signal.description);
    pc.answered();
  }
  if (signal.type === 'ice') await pc.addIceCandidate(signal.candidate);
  if (signal.type === 'layers') showLayers(signal.layers);
  if (signal.type === 'gets') screens[signal.of].find('.gets').textContent = `gets ${signal.rid}`;
  if (signal.type === 'path' && screens[signal.of]) screens[signal.of].path = signal.bitrate;
  if (signal.type === 'error') showError(`The server says: ${signal.text}`);
}

// Puts one codec first and leaves the others out; retransmission and the like stay.
function preferCodec(pc, name) {
  if (!name) return;
  const wanted = `video/${name}`.toLowerCase();
  const codecs = RTCRtpReceiver.getCapabilities('video').codecs
    .filter(({ mimeType }) => [wanted, 'video/rtx'].includes(mimeType.toLowerCase()));
  if (!codecs.some(({ mimeType }) => mimeType.toLowerCase() === wanted)) {
    throw new Error(`This browser has no video codec “${name}”.`);
  }
  pc.getTransceivers().forEach(transceiver => transceiver.setCodecPreferences(codecs));
}

// The sender's side of a pause: the server notices, and the screens go on with what is left.
async function setActive(rid, active) {
  const [sender] = connections.camera.getSenders();
  const parameters = sender.getParameters();
  parameters.encodings.find(encoding => encoding.rid === rid).active = active;
  await sender.setParameters(parameters);
}

function showLayers(layers) {
  for (const { rid, active, bitrate } of layers) {
    const shown = active ? `${Math.round(bitrate / 1000)} kbit/s` : 'paused';
    const cell = document.querySelector(`#layers [data-arrives="${rid}"]`);
    if (cell) cell.textContent = shown;
  }
}

function buildLayers() {
  for (const { rid } of ENCODINGS) {
    const row = element('layers').insertRow();
    row.insertCell().textContent = rid;
    const box = Object.assign(document.createElement('input'), { type: 'checkbox', checked: true, id: `send-${rid}` });
    box.ariaLabel = `send ${rid}`;
    box.onchange = () => setActive(rid, box.checked).catch(error => fail(error.message));
    row.insertCell().append(box);
    Object.assign(row.insertCell(), { textContent: '–' }).dataset.arrives = rid;
  }
}

// One of the two screens: its picture, its buttons, and what of its connection is drawn.
class Screen {
  constructor(name) {
    this.name = name;
    this.figure = element('screen').content.cloneNode(true).firstElementChild;
    this.find = selector => this.figure.querySelector(selector);
    this.video = Object.assign(this.find('video'), { id: `${name}-video` });
    this.find('.name').textContent = name;
    this.find('.wishes').ariaLabel = `what ${name} is to get`;
    this.find('canvas').ariaLabel = `bitrate, frames per second and height of ${name}`;
    this.buttons = [...this.figure.querySelectorAll('button')];
    for (const button of this.buttons) {
      button.id = `${name}-${button.dataset.layer}`;
      button.onclick = () => this.wish(button.dataset.layer);
    }
    this.path = null;
    this.samples = [];
    this.last = null;
    element('screens').append(this.figure);
  }

  wish(layer) {
    if (socket) say({ type: 'wish', of: this.name, layer });
    for (const button of this.buttons) button.ariaPressed = String(button.dataset.layer === layer);
  }

  async refresh() {
    const all = [...(await connections[this.name].getStats()).values()];
    const now = all.find(({ type }) => type === 'inbound-rtp');
    const before = this.last;
    this.last = now;
    if (!now || !before) return;
    const seconds = (now.timestamp - before.timestamp) / 1000;
    const sample = {
      bitrate: (now.bytesReceived - before.bytesReceived) * 8 / seconds,
      rate: (now.framesDecoded - before.framesDecoded) / seconds,
      height: now.frameHeight ?? 0,
      froze: now.freezeCount > before.freezeCount,
    };
    this.samples = [...this.samples, sample].slice(-SAMPLES);
    this.show(sample, now);
    this.draw();
  }

  show({ bitrate, rate, height }, { frameWidth, freezeCount, totalFreezesDuration }) {
    const kilobits = bits => `${Math.round(bits / 1000)} kbit/s`;
    this.find('.size').textContent = height ? `${frameWidth} × ${height}` : '–';
    this.find('dd.bitrate').textContent = kilobits(bitrate);
    this.find('dd.rate').textContent = rate.toFixed(0);
    this.find('dd.height').textContent = height;
    this.find('.freezes').textContent = `${freezeCount} (${totalFreezesDuration.toFixed(1)} s)`;
    this.find('.path').textContent = this.path ? kilobits(this.path) : '–';
  }

  // Each curve by its own greatest value; where the picture froze, a red line.
  draw() {
    const canvas = this.find('canvas');
    const pen = canvas.getContext('2d');
    const colour = name => getComputedStyle(canvas).getPropertyValue(name);
    const x = index => index / (SAMPLES - 1) * canvas.width;
    pen.clearRect(0, 0, canvas.width, canvas.height);
    pen.fillStyle = colour('--bad');
    this.samples.forEach(({ froze }, index) => { if (froze) pen.fillRect(x(index) - 1, 0, 2, canvas.height); });
    pen.lineWidth = 2;
    for (const [what, name] of [['height', '--warn'], ['rate', '--good'], ['bitrate', '--accent']]) {
      const most = Math.max(1, ...this.samples.map(sample => sample[what]));
      pen.strokeStyle = colour(name);
      pen.beginPath();
      this.samples.forEach((sample, index) => {
        pen.lineTo(x(index), canvas.height - 4 - sample[what] / most * (canvas.height - 8));
      });
      pen.stroke();
    }
  }
}

function showStates() {
  const states = Object.values(connections).map(pc => pc.connectionState);
  if (states.includes('failed')) return fail('A connection to the server failed: no pair of addresses works.');
  const all = states.length === 3 && states.every(state => state === 'connected');
  showState(all ? 'connected' : 'connecting');
}

function fail(text) {
  showState('failed');
  showError(`${text} Reload the page to begin anew.`);
}

// Half a second each: the last minute.
const SAMPLES = 120;

buildLayers();
for (const name of ['left', 'right']) screens[name] = new Screen(name);
setInterval(() => {
  for (const name of ['left', 'right']) if (connections[name]) screens[name].refresh();
}, 500);
element('start').onclick = start;
