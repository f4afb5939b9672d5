// h2_client.js URL WHAT [NUMBER]: a client of the proxy in $https_proxy that speaks HTTP/2 inside the tunnel; tells what it saw as JSON.
const http = require('http'), http2 = require('http2'), tls = require('tls'), fs = require('fs');
const [text, what, number] = process.argv.slice(2);
const url = new URL(text), proxy = new URL(process.env.https_proxy), n = Number(number || 0);
const port = url.port || 443, block = Buffer.alloc(65536, 'y');
const seen = {};
const done = () => { console.log(JSON.stringify(seen)); process.exit(0); };
setTimeout(() => { seen.timeout = true; done(); }, 50000);

function request(client, headers, options) {
  const s = client.request(headers, options), r = {bytes: 0, body: ''};
  s.on('response', h => { r.status = h[':status']; r.headers = h; });
  s.on('trailers', h => r.trailers = h);
  s.on('data', d => { r.bytes += d.length; if (r.body.length < 2000) r.body += d; });
  s.on('error', e => r.error = e.code);
  r.over = new Promise(resolve => s.on('close', () => { r.code = s.rstCode; resolve(r); }));
  return [s, r];
}

const get = (client, path, more) => {
  const [s, r] = request(client, {':path': path, ...more});
  s.end();
  return r.over;
};

const acts = {
  async get(c) { seen.answer = await get(c, url.pathname); },
  async many(c) { // requests at once: one is blocked, the others are not
    const paths = ['/hello', '/blocked', '/headers', '/reset', '/half', '/hello'];
    seen.answers = await Promise.all(paths.map(p => get(c, p)));
  },
  async authority(c) { seen.answer = await get(c, '/hello', {':authority': 'other.exeat.test:' + port}); seen.good = await get(c, '/hello'); },
  async upload(c) {
    const [s, r] = request(c, {':path': '/sink', ':method': 'POST'});
    let left = n;
    const go = () => {
      while (left > 0) {
        const piece = left < block.length ? block.subarray(0, left) : block;
        left -= piece.length;
        if (!s.write(piece)) return s.once('drain', go);
      }
      s.end();
    };
    go();
    seen.answer = await r.over;
  },
  async talk(c) { // each message is sent when the one before has come back: nothing may wait for an end
    const [s, r] = request(c, {':path': '/echo', ':method': 'POST', 'content-type': 'application/grpc', te: 'trailers'});
    for (let i = 1; i <= 20; i++) {
      s.write('0123456789');
      while (r.bytes < 10 * i) await new Promise(resolve => s.once('data', () => setImmediate(resolve)));
    }
    s.end();
    seen.answer = await r.over;
  },
  async websocket(c) {
    await new Promise(resolve => c.remoteSettings && c.remoteSettings.enableConnectProtocol ? resolve() : c.on('remoteSettings', v => v.enableConnectProtocol && resolve()));
    const [s, r] = request(c, {':method': 'CONNECT', ':protocol': 'websocket', ':path': '/chat', 'sec-websocket-version': '13'});
    s.write(Buffer.from([0x81, 0x85, 1, 2, 3, 4, 0x69, 0x67, 0x6f, 0x68, 0x6e]));
    await new Promise(resolve => s.once('data', resolve));
    s.end(Buffer.from([0x88, 0x80, 0, 0, 0, 0]));
    seen.answer = await r.over;
  },
  async idle(c) { seen.answer = await get(c, '/hello'); await new Promise(resolve => c.on('close', resolve)); seen.closed = true; },
};

http.request({host: proxy.hostname, port: proxy.port, localAddress: '127.0.0.9', method: 'CONNECT', path: url.hostname + ':' + port, headers: {host: url.hostname + ':' + port}})
  .on('connect', (response, socket) => {
    seen.connect = response.statusCode;
    const t = tls.connect({socket, servername: url.hostname, ALPNProtocols: process.env.H2_ONLY ? ['h2'] : ['h2', 'http/1.1'], ca: fs.readFileSync(process.env.NODE_EXTRA_CA_CERTS)}, () => {
      seen.protocol = t.alpnProtocol;
      const client = http2.connect(url.origin, {createConnection: () => t});
      client.on('altsvc', a => seen.altsvc = a);
      client.on('goaway', code => seen.goaway = code);
      client.on('error', e => seen.error = e.code);
      acts[what](client).then(done, e => { seen.error = String(e); done(); });
    });
    t.on('error', e => { seen.error = String(e); done(); });
  }).end();
