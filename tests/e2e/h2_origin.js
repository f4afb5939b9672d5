// h2_origin.js PORT KEY CERT: what HTTP/2 in the tests reaches. /hello, /bytes/N, /sink (counts), /echo (bidirectional, with trailers),
// /headers (the request's, as JSON), /reset, /goaway, /wait; WebSockets (RFC 8441) echo. Alt-Svc in each response and as a frame.
const http2 = require('http2'), fs = require('fs');
const [port, key, cert] = process.argv.slice(2);
const server = http2.createSecureServer({key: fs.readFileSync(key), cert: fs.readFileSync(cert), settings: {enableConnectProtocol: true}});
const block = Buffer.alloc(65536, 'x');

const routes = {
  bytes(s, n) {
    s.respond({':status': 200, 'content-length': n});
    const go = () => {
      while (n > 0) {
        const piece = n < block.length ? block.subarray(0, n) : block;
        n -= piece.length;
        if (!s.write(piece)) return s.once('drain', go);
      }
      s.end();
    };
    go();
  },
  sink(s) {
    let n = 0;
    s.on('data', d => n += d.length);
    s.on('end', () => { s.respond({':status': 200}); s.end(String(n)); });
  },
  echo(s) {
    s.respond({':status': 200, 'content-type': 'application/grpc'}, {waitForTrailers: true});
    s.on('wantTrailers', () => s.sendTrailers({'grpc-status': '0'}));
    s.pipe(s);
  },
  headers(s, n, h) { s.respond({':status': 200, 'content-type': 'application/json'}); s.end(JSON.stringify(h)); },
  reset(s) { s.close(http2.constants.NGHTTP2_ENHANCE_YOUR_CALM); },
  half(s) { s.respond({':status': 200, 'content-length': 100}); s.write('half'); setTimeout(() => s.close(2), 50); },
  goaway(s) { s.session.goaway(0); s.respond({':status': 200}); s.end('going'); },
  wait(s) { setTimeout(() => { if (!s.destroyed) { s.respond({':status': 200}); s.end('waited'); } }, 1000); },
  cut(s) { s.session.destroy(); },
  hello(s) { s.respond({':status': 200, 'content-type': 'text/html', 'alt-svc': 'h3=":443"; ma=86400'}); s.end('<title>t</title><p>hello from the origin</p>\n'); },
};

server.on('session', session => {
  session.on('error', () => {});
  session.altsvc('h3=":443"', 'https://' + (session.servername || 'x'));
});
server.on('stream', (s, h) => {
  s.on('error', () => {});
  if (h[':method'] === 'CONNECT') { s.respond({':status': 200}); s.pipe(s); return; }
  const [what, n] = h[':path'].slice(1).split('/');
  (routes[what] || routes.hello)(s, Number(n), h);
});
server.listen(Number(port), '127.0.0.1', () => console.log('ready'));
