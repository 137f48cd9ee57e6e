// The app as a process: started, killed, started again on the same database.
import { spawn } from 'node:child_process'
import { once } from 'node:events'
import { join } from 'node:path'

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
