// Runs a Jenkinsfile with stand-ins for the steps of Jenkins: jenkins.groovy JENKINSFILE LIBRARY.
// sh is the real one, called as Jenkins calls it. Each other step with an effect prints a line.
def environment = new LinkedHashMap(System.getenv())
def binding = new Binding()
def shell = new GroovyShell(binding)
def call = { Closure body -> body() }

['pipeline', 'agent', 'parameters', 'options', 'stages', 'steps', 'post', 'always'].each {
    binding.setVariable(it, call)
}
binding.setVariable('label', { String name -> println "agent: ${name}" })
binding.setVariable('string', { Map o -> })
binding.setVariable('timeout', { Map o -> })
binding.setVariable('stage', { String name, Closure body -> body() })
binding.setVariable('params', environment)
binding.setVariable('error', { String message -> throw new RuntimeException(message) })
binding.setVariable('unstable', { String message -> println "unstable: ${message}" })
['junit': 'testResults', 'archiveArtifacts': 'artifacts'].each { step, files ->
    binding.setVariable(step, { Map o -> println "${step}: ${o[files]}" })
}
binding.setVariable('withEnv', { List settings, Closure body ->
    def before = new LinkedHashMap(environment)
    settings.each { environment.put(*(it.toString().split('=', 2))) }
    try {
        body()
    } finally {
        environment.clear()
        environment.putAll(before)
    }
})
binding.setVariable('sh', { Map o ->
    def file = File.createTempFile('script', '.sh', new File('.'))
    file.text = o.script
    def process = new ProcessBuilder('sh', '-xe', file.path).redirectErrorStream(true)
    process.environment().clear()
    process.environment().putAll(environment)
    def running = process.start()
    running.inputStream.eachLine { println it }
    def code = running.waitFor()
    file.delete()
    if (o.returnStatus) {
        return code
    }
    if (code != 0) {
        throw new RuntimeException("script returned exit code ${code}")
    }
})
binding.setVariable('modernSCM', { Map o -> o })
binding.setVariable('library', { Map o ->
    println "library: ${o.identifier} ${o.retriever.libraryPath}"
    new File(args[1], "${o.retriever.libraryPath}/vars").eachFileMatch(~/.*\.groovy/) { file ->
        def step = shell.parse(file)
        binding.setVariable(file.name - '.groovy', { Map options -> step.call(options) })
    }
})
try {
    shell.evaluate(new File(args[0]))
    println 'ended: success'
} catch (RuntimeException e) {
    println "ended: ${e.message}"
    System.exit(1)
}
