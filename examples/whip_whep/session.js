// A WHIP or WHEP session: one POST, then candidates and ICE restarts by PATCH, in the end DELETE.
'use strict';

class Session {
  // Called with the new state: connecting, connected, disconnected, failed, closed.
  onstate = () => {};

  #pc; #token; #location; #etag; #candidates = []; #ended = false; #sending = Promise.resolve();

  constructor(pc, token) {
    this.#pc = pc;
    this.#token = token;
    pc.onicecandidate = ({ candidate }) => this.#trickle(candidate);
    pc.onconnectionstatechange = () => this.#changed();
  }

  async start(url) {
    this.onstate('connecting');
    const offer = await this.#pc.createOffer();
    const answer = await this.#fetch(url, 'POST', { 'Content-Type': 'application/sdp' }, offer.sdp);
    this.#location = new URL(answer.headers.get('Location'), new URL(url, location.href));
    this.#etag = answer.headers.get('ETag');
    if (this.#ended) return this.end();
    this.#useServers(answer.headers.get('Link') ?? '');
    await this.#pc.setLocalDescription(offer);
    await this.#pc.setRemoteDescription({ type: 'answer', sdp: await answer.text() });
    this.#flush();
  }

  // Also when the page is about to go: `keepalive` lets the request outlive it.
  end() {
    this.#ended = true;
    this.#pc.close();
    if (!this.#location) return Promise.resolve();
    const gone = fetch(this.#location, { method: 'DELETE', headers: this.#headers(), keepalive: true });
    this.#location = null;
    return gone.catch(() => {});
  }

  // What the browser counts.
  stats() {
    return this.#pc.getStats();
  }

  // The servers that the server names, before candidates are gathered.
  #useServers(links) {
    const iceServers = [...links.matchAll(/<([^>]*)>((?:;\s*[\w-]+="(?:\\.|[^"\\])*")*)/g)].flatMap(([, urls, list]) => {
      const parameters = [...list.matchAll(/([\w-]+)="((?:\\.|[^"\\])*)"/g)];
      const { rel, username, credential } = Object.fromEntries(
        parameters.map(([, name, value]) => [name, value.replace(/\\(.)/g, '$1')]));
      return rel === 'ice-server' ? [{ urls, username, credential }] : [];
    });
    if (iceServers.length) this.#pc.setConfiguration({ iceServers });
  }

  #trickle(candidate) {
    this.#candidates.push(candidate);
    if (this.#location) this.#flush();
  }

  // All that is known, in one request; the next one waits for it.
  #flush() {
    this.#sending = this.#sending.then(async () => {
      const candidates = this.#candidates.splice(0);
      if (!candidates.length || this.#ended) return;
      await this.#patch(this.#etag, this.#fragment(this.#pc.localDescription.sdp, candidates));
    }).catch(error => this.#failed(error));
  }

  #patch(etag, fragment) {
    const headers = { 'Content-Type': 'application/trickle-ice-sdpfrag', 'If-Match': etag };
    return this.#fetch(this.#location, 'PATCH', headers, fragment);
  }

  // What a description says of ICE (RFC 8840), with these candidates.
  #fragment(sdp, candidates) {
    const line = pattern => sdp.match(pattern)[0];
    const lines = [line(/^a=ice-ufrag:.*$/m), line(/^a=ice-pwd:.*$/m), line(/^m=.*$/m), line(/^a=mid:.*$/m)];
    for (const candidate of candidates) lines.push(candidate ? `a=${candidate.candidate}` : 'a=end-of-candidates');
    return lines.map(text => text.trimEnd() + '\r\n').join('');
  }

  async #changed() {
    const state = this.#pc.connectionState;
    this.onstate(state);
    if (state === 'disconnected' && !this.#ended) await this.#restart().catch(error => this.#failed(error));
  }

  // What was not taken now may be taken with the next restart, unless the session is gone.
  #failed(error) {
    if (this.#ended) return;
    if (error.status === 404) this.onstate('closed');
    else console.warn(error.message);
  }

  // Another path for the same media: only what concerns ICE is exchanged (RFC 9725, section 4.3.3).
  async #restart() {
    await this.#sending;
    this.#candidates = [];
    await this.#pc.setLocalDescription(await this.#pc.createOffer({ iceRestart: true }));
    const answer = await this.#patch('*', this.#fragment(this.#pc.localDescription.sdp, []));
    this.#etag = answer.headers.get('ETag');
    const fragment = await answer.text();
    let sdp = this.#pc.remoteDescription.sdp.replace(/^a=(candidate:.*|end-of-candidates)\r\n/gm, '');
    for (const name of ['ice-ufrag', 'ice-pwd']) {
      const fresh = fragment.match(new RegExp(`^a=${name}:.*$`, 'm'))[0].trimEnd();
      sdp = sdp.replace(new RegExp(`^a=${name}:.*$`, 'gm'), fresh + '\r');
    }
    const candidates = (fragment.match(/^a=(candidate:.*|end-of-candidates)\r\n/gm) ?? []).join('');
    sdp = sdp.replace(/^a=mid:.*\r\n/m, found => found + candidates);
    await this.#pc.setRemoteDescription({ type: 'answer', sdp });
    this.#flush();
  }

  async #fetch(url, method, headers, body) {
    const answer = await fetch(url, { method, headers: { ...headers, ...this.#headers() }, body });
    if (answer.ok) return answer;
    const problem = await answer.json().catch(() => ({}));
    throw Object.assign(new Error(problem.detail ?? `the server says ${answer.status}`), { status: answer.status });
  }

  #headers() {
    return this.#token ? { Authorization: `Bearer ${this.#token}` } : {};
  }
}

// What both pages have in common: where to go, with which token, and how things stand.
function resource(root) {
  const name = options.get('stream');
  return name ? `/${root}/${encodeURIComponent(name)}` : `/${root}`;
}

// Kept for this tab.
function token() {
  return options.get('token') ?? sessionStorage.getItem('token') ?? '';
}

// Lets the visitor say another one, and goes on with it.
function askForToken(goOn) {
  element('ask').hidden = false;
  element('ask').onsubmit = event => {
    event.preventDefault();
    element('ask').hidden = true;
    options.delete('token');
    sessionStorage.setItem('token', element('token').value);
    goOn();
  };
}
