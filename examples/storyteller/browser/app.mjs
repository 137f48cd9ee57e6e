// The app as a process: started, killed, started again on the same database.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { connect } from 'node:net'
import { join } from 'node:path'
import { check } from './check.mjs'

export class App {
  constructor(program, folder, environment = {}) {
    this.program = program
    this.environment = { DATABASE_URL: join(folder, 'storyteller.sqlite3'), PORT: '0', ...environment }
  }

  async start() {
    const env = { PATH: process.env.PATH, NO_PROXY: '127.0.0.1', ...this.environment }
    this.process = spawn(this.program, [], { env, stdio: ['ignore', 'pipe', 'inherit'] })
    let said = ''
    for await (const piece of this.process.stdout) {
      said += piece
      const found = said.match(/http:\/\/127\.0\.0\.1:(\d+)/)
      if (!found) continue
      this.url = found[0]
      // A page that comes back looks at the same address.
      this.environment.PORT = found[1]
      return this.url
    }
    throw new Error(`the app did not start: ${said}`)
  }

  async kill(signal = 'SIGKILL') {
    if (!this.process || this.process.exitCode !== null || this.process.signalCode !== null) return
    const ended = once(this.process, 'exit')
    this.process.kill(signal)
    await ended
  }
}

// It ends when it is asked to, although somebody's upload does not go on.
export async function stuck(app) {
  const { port, host } = new URL(app.url)
  const upload = connect(Number(port), '127.0.0.1')
  upload.on('error', () => {})
  // The server has begun to read when it answers the first of two requests.
  upload.write(`GET /sign-in HTTP/1.1\r\nHost: ${host}\r\n\r\nPOST /threads HTTP/1.1\r\nHost: ${host}\r\nContent-Length: 1000\r\n\r\nx`)
  await once(upload, 'data')
  let limit
  const never = new Promise(done => { limit = setTimeout(done, 20_000, false) })
  const ended = await Promise.race([app.kill('SIGTERM').then(() => true), never])
  clearTimeout(limit)
  upload.destroy()
  check('an upload that does not go on keeps no program from ending', ended)
}
