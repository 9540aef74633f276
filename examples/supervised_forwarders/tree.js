// Draws the tree of actors twice a second, and takes part in a room (call.js).
'use strict';

// ---- The tree ----

// What was there at the last look, by the actor's id.
let known = new Map();

async function look() {
  try {
    const answer = await fetch('/tree.json');
    if (!answer.ok) throw new Error(`the server says ${answer.status}`);
    draw(await answer.json());
  } catch (error) {
    element('summary').textContent = `The tree cannot be seen: ${error.message}`;
  }
  setTimeout(look, 500);
}

function draw({ root, actors, took }) {
  element('summary').textContent = `${actors} actors, looked at in ${took.toFixed(1)} ms`;
  const now = new Map();
  place(element('tree'), [root], now);
  for (const [id, { title }] of known) if (!now.has(id)) log(`${title} (${id}) has ended.`, 'problem');
  if (known.size) for (const [id, { title }] of now) if (!known.has(id)) log(`${title} (${id}) runs.`);
  known = now;
}

// Changes what there is rather than making it anew: who is about to press a button still finds it.
function place(list, actors, now) {
  const present = new Map([...list.children].map(line => [line.dataset.id, line]));
  for (const actor of actors) {
    const isNew = !present.has(actor.id);
    const line = present.get(actor.id) ?? list.appendChild(makeLine(actor.id));
    present.delete(actor.id);
    fill(line, actor, isNew && known.size > 0);
    now.set(actor.id, { title: titleOf(actor), actor });
    place(line.querySelector('ul'), [...actor.children, ...waitingBelow(actor)], now);
  }
  for (const line of present.values()) fade(line);
}

// Those that a supervisor is about to start again have no actor.
function waitingBelow({ id, detail }) {
  const children = detail?.supervisor?.children ?? [];
  return children.filter(({ state }) => ['waiting', 'starting', 'ended'].includes(state)).map(child => ({
    id: `${id} ${child.id}`, kind: null, name: child.id, state: child.state, restarts: child.restarts, lanes: [], children: [],
  }));
}

function makeLine(id) {
  const line = document.createElement('li');
  line.dataset.id = id;
  line.setAttribute('role', 'treeitem');
  line.innerHTML = `<div class="actor"><span class="name"></span><span class="id"></span><span class="restarts"></span>
    <span class="figures"></span><button type="button">Kill</button></div><ul role="group"></ul>`;
  line.querySelector('button').onclick = () => kill(id);
  return line;
}

function fill(line, actor, isNew) {
  const write = (part, text) => {
    const found = line.querySelector(`:scope > .actor > ${part}`);
    if (found.textContent !== text) found.textContent = text;
  };
  const isThere = actor.kind !== null || actor.answer !== undefined;
  line.className = isNew ? 'new' : '';
  if (actor.answer === 'missing') line.classList.add('missing');
  if (!isThere) line.classList.add('waiting');
  if (isNew) setTimeout(() => line.classList.remove('new'), 2000);
  line.dataset.kind = actor.kind ?? '';
  line.dataset.name = actor.name ?? '';
  write('.name', titleOf(actor));
  write('.id', isThere ? actor.id : '');
  write('.restarts', actor.restarts ? `started again ${actor.restarts} ×` : '');
  write('.figures', figuresOf(actor));
  line.querySelector(':scope > .actor > button').hidden = !isThere;
}

function fade(line) {
  if (line.classList.contains('gone')) return;
  line.className = 'gone';
  // Its place may be taken meanwhile, but not its id.
  delete line.dataset.id;
  setTimeout(() => line.remove(), 2000);
}

function titleOf({ kind, name }) {
  return kind && name ? `${kind} ${name}` : kind ?? name ?? 'an actor';
}

function figuresOf({ state, answer, detail, traffic, lanes }) {
  const parts = [];
  if (state !== 'running') parts.push(state);
  if (answer === 'missing') parts.push('does not answer');
  else if (answer) parts.push(`answers in ${answer.after.toFixed(1)} ms`);
  const peer = detail?.peerConnection;
  if (peer) parts.push(peer.connectionState, `ICE ${peer.iceConnectionState}`, `DTLS ${peer.dtlsState}`);
  if (detail?.iceTransport?.remoteAddress) parts.push(`to ${detail.iceTransport.remoteAddress}`);
  if (detail?.room) parts.push(`${detail.room.participants.length} here`);
  if (detail?.forwarder) parts.push(`${detail.forwarder.publications} tracks to ${detail.forwarder.subscriptions} places`);
  if (detail?.udpEndpoint) parts.push(`${detail.udpEndpoint.peers} peers`);
  if (detail?.supervisor) parts.push({ oneForOne: 'one for one', oneForAll: 'one for all', restForOne: 'rest for one' }[detail.supervisor.strategy]);
  if (traffic) parts.push(`in ${bitrate(traffic.receivedBitrate)}`, `out ${bitrate(traffic.sentBitrate)}`);
  for (const { name, packets, mostPackets, packetLimit } of lanes) {
    if (mostPackets) parts.push(`${name} ${packets} of ${packetLimit}, once ${mostPackets}`);
  }
  return parts.join(' · ');
}

function bitrate(bits) {
  return bits == null ? '–' : bits < 1e6 ? `${(bits / 1e3).toFixed(0)} kbit/s` : `${(bits / 1e6).toFixed(2)} Mbit/s`;
}

async function kill(actor) {
  log(`${known.get(actor)?.title ?? 'An actor'} (${actor}) is killed by you.`, 'problem');
  await fetch('/kill', { method: 'POST', headers: { 'content-type': 'application/json' }, body: JSON.stringify({ actor }) });
}

// ---- The room ----

// From Join to Leave; null in between.
let call = null;

async function join() {
  const name = element('name').value.trim();
  showError(null);
  const key = Array.from(crypto.getRandomValues(new Uint8Array(16)), byte => byte.toString(16).padStart(2, '0')).join('');
  const mine = call = new Call({
    name, key, path: `/ws/${element('room').value}`, changed: () => { if (call === mine) show(); }, told: log,
  });
  show();
  try {
    const width = Number(options.get('width')) || 640;
    const video = { width: { ideal: width }, height: { ideal: width * 3 / 4 }, frameRate: { ideal: Number(options.get('rate')) || 30 } };
    const stream = await navigator.mediaDevices.getUserMedia({ audio: true, video });
    for (const track of stream.getTracks()) await mine.publish(track.kind === 'audio' ? 'microphone' : 'camera', track, stream);
  } catch (error) {
    // One may watch and listen without.
    showError(`You are in the room without camera and microphone: ${error.message}`);
  }
  if (call === mine) mine.join();
}

function leave() {
  const ended = call;
  call = null;
  ended.leave();
  for (const one of Object.values(ended.own)) one?.track.stop();
  show();
}

const STATES = { connecting: 'joining', joined: 'in the room', reconnecting: 'coming back', ended: 'not in the room any more' };

function show() {
  const status = call?.status ?? 'idle';
  element('state').textContent = STATES[status] ?? 'in no room';
  element('state').dataset.state = status;
  element('join').hidden = call !== null;
  element('leave').hidden = call === null;
  for (const id of ['name', 'room']) element(id).disabled = call !== null;
  showTiles(call ? tiles() : []);
}

function tiles() {
  const { camera } = call.own;
  const all = [{ key: 'own', name: `${call.name} (you)`, stream: camera?.stream ?? null, isOwn: true }];
  for (const who of call.participants.values()) {
    const video = [...who.publications.values()].find(({ kind }) => kind === 'video');
    all.push({ key: String(who.id), name: who.name, stream: call.streams.get(video?.stream) ?? null, isOwn: false });
  }
  return all;
}

function showTiles(wanted) {
  const list = element('tiles');
  const present = new Map([...list.children].map(tile => [tile.dataset.key, tile]));
  for (const { key, name, stream, isOwn } of wanted) {
    let tile = present.get(key);
    present.delete(key);
    if (!tile) {
      tile = list.appendChild(document.createElement('li'));
      tile.dataset.key = key;
      tile.innerHTML = '<video autoplay playsinline></video><div class="name"></div>';
      tile.querySelector('video').muted = isOwn;
    }
    tile.querySelector('.name').textContent = name;
    const video = tile.querySelector('video');
    if (video.srcObject !== stream) video.srcObject = stream;
  }
  for (const tile of present.values()) tile.remove();
}

element('entrance').onsubmit = event => {
  event.preventDefault();
  if (!call) join();
};
element('leave').onclick = leave;
look();
