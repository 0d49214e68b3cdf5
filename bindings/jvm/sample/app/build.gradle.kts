plugins {
    id("com.android.application")
    id("org.jetbrains.kotlin.android")
}

val repository = rootDir.resolve("../../..")

// The demo's model; what no model has is left out.
val model by tasks.registering(Copy::class) {
    from(repository.resolve("demo/sam-nano")) { exclude("README.md") }
    into(layout.buildDirectory.dir("model/sam"))
}

android {
    namespace = "vitrum.sample"
    compileSdk = 34
    defaultConfig {
        applicationId = "vitrum.sample"
        minSdk = 21
        targetSdk = 34
        versionCode = 1
        versionName = "0.1.0"
    }
    // Weights are mapped, not unpacked.
    androidResources { noCompress += "safetensors" }
    sourceSets["main"].assets.srcDir(layout.buildDirectory.dir("model"))
    compileOptions {
        sourceCompatibility = JavaVersion.VERSION_1_8
        targetCompatibility = JavaVersion.VERSION_1_8
    }
    kotlinOptions { jvmTarget = "1.8" }
}

tasks.named("preBuild") { dependsOn(model) }

dependencies {
    implementation(files(repository.resolve("target/jvm/vitrum-0.1.0.aar")))
}
